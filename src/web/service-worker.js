// The service worker of push: shows what presence-pushd sends, and opens what a click leads to.
//
//   const registration = await navigator.serviceWorker.register("/service-worker.js");
//   await enablePush(client, { registration }); // extras.js
//
// A site with a service worker of its own imports this one: importScripts("/presence/service-worker.js").
// What comes is declarative (https://www.w3.org/TR/push-api/#declarative-push-message): a browser that
// knows the form shows it by itself, others ask this.

self.addEventListener("push", (event) => {
  event.waitUntil(show(event.data));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.navigate));
});

/** Something is always shown: browsers take the right away from a site that stays silent. */
async function show(data) {
  let notification = {};
  try {
    ({ notification = {} } = data.json());
  } catch {
    // Empty, or not ours.
  }
  const { title = self.location.hostname, navigate = "/", ...options } = notification;
  await self.registration.showNotification(title, { ...options, data: { navigate } });
}

/** In a window of the site that shows it already, else in a new one. */
async function open(navigate = "/") {
  const url = new URL(navigate, self.location.origin);
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const shown = windows.find((window) => window.url === url.href);
  if (shown !== undefined) await shown.focus();
  else await self.clients.openWindow(url.href);
}

// A Vue application on presence-client, for the browser tests: as src/web/README.md tells.
import { createApp, h, onScopeDispose, shallowRef } from "vue";

/** The friends of a client, as a ref. */
function useFriends(client) {
  const friends = shallowRef(client.friends);
  onScopeDispose(client.subscribe((now) => (friends.value = now)));
  return friends;
}

window.startApp = (client) => {
  const place = document.body.appendChild(document.createElement("div"));
  const app = createApp({
    setup() {
      const friends = useFriends(client);
      return () =>
        h(
          "ul",
          [...friends.value].map(([id, status]) => h("li", { id: `vue-${id}` }, status.status)),
        );
    },
  });
  app.mount(place);
};

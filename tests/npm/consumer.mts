// What an application's TypeScript may write, under --strict.
import { Friends, PresenceClient, formatLastSeen, type Status } from "presence-client";
import { PresenceProvider, usePresence, usePresenceOf } from "presence-client/react";
import { createElement } from "react";

const client = new PresenceClient({ base: "/api", getToken: async ({ reason }) => reason });
const stop: () => void = client.subscribe((friends: Friends) => friends.size);
client.addEventListener("change", ({ detail }) => {
  const first: Status | undefined = detail.changes[0]?.status;
  return first?.version;
});
client.addEventListener("error", ({ detail }) => detail.retryInMs?.toFixed());
const seen: string = formatLastSeen("2024-01-21T10:30:00Z", { locale: "ko", now: client.now() });
export const element = createElement(PresenceProvider, { token: "t" });
export function Name() {
  const { friends, state } = usePresence();
  return [usePresenceOf(7)?.status, friends.get("7")?.is_online, state, seen, stop].join();
}
// @ts-expect-error: no such event
client.addEventListener("nothing", () => {});
// @ts-expect-error: the view cannot be changed
client.friends.set("7", undefined);
// @ts-expect-error: no such option
new PresenceClient({ tokn: "t" });

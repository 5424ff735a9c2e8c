// What an application's TypeScript may write, under --strict.
import { Friends, PresenceClient, formatLastSeen, type Status } from "presence-client";
import { PresenceProvider, usePresence, usePresenceOf, useTyping } from "presence-client/react";
import { Nearby, Typing, block, changeSettings, detectIdle, enablePush, getBlocks, setStatus } from "presence-client/extras";
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
  const { isTyping, onInput } = useTyping(7, "c1");
  onInput();
  return [isTyping, usePresenceOf(7)?.status, friends.get("7")?.is_online, state, seen, stop].join();
}
export async function everything(registration: ServiceWorkerRegistration) {
  const stopIdle: () => void = detectIdle(client, { afterMs: 60000 });
  const mine: Status = await setStatus(client, { status: "meeting", text: "Room 4", expires_in: 3600 });
  const { nearby }: { nearby: "off" | "friends" } = await changeSettings(client, { nearby: "friends" });
  await block(client, 7);
  const blocked: (number | string)[] = await getBlocks(client);
  const typing = new Typing(client);
  typing.input([7, "bob"], { conversation: "c1" });
  const near: ReadonlyMap<string, true> = new Nearby(client).getSnapshot();
  const id: string = await enablePush(client, { registration, device: "Phone" });
  client.watch(new Set([1, "bob"]));
  return [stopIdle, mine.text, nearby, blocked, typing.getSnapshot().get("7"), near.size, id];
}
// @ts-expect-error: no such state
setStatus(client, { status: "asleep" });
// @ts-expect-error: no such event
client.addEventListener("nothing", () => {});
// @ts-expect-error: the view cannot be changed
client.friends.set("7", undefined);
// @ts-expect-error: no such option
new PresenceClient({ tokn: "t" });

// presence-client/react: the client for React 18 and newer.
//
//   <PresenceProvider token={token}><App /></PresenceProvider>
//   const { friends, state } = usePresence();
//   const status = usePresenceOf(7);
//   const { isTyping, onInput, onStop } = useTyping(7);

import { createContext, createElement, useContext, useEffect, useMemo } from "react";
import { useSyncExternalStore } from "react";
import { PresenceClient } from "./presence.js";
import { Typing, detectIdle } from "./extras.js";

/** @type {import("react").Context<{client: PresenceClient, typing: Typing}|null>} */
const Context = createContext(/** @type {{client: PresenceClient, typing: Typing}|null} */ (null));

/**
 * Connects for as long as it is shown. A `client` of your own is used as it is; else one is made of
 * the other props, which are those of PresenceClient, and made anew when `base` or `token` changes.
 * The user is away after `idleMs` without input, 5 minutes unless given; 0 = never.
 * @param {import("./presence.js").Options & {client?: PresenceClient, idleMs?: number, children?: import("react").ReactNode}} props
 */
export function PresenceProvider({ client: own, idleMs, children, ...options }) {
  const { base, token } = options;
  const client = useMemo(() => own ?? new PresenceClient(options), [own, base, token]);
  const typing = useMemo(() => new Typing(client), [client]);
  const value = useMemo(() => ({ client, typing }), [client, typing]);
  useEffect(() => {
    if (client === own) return undefined;
    client.connect();
    return () => client.close();
  }, [client, own]);
  useEffect(() => (idleMs === 0 ? undefined : detectIdle(client, { afterMs: idleMs })), [client, idleMs]);
  useEffect(() => typing.open(), [typing]);
  return createElement(Context.Provider, { value }, children);
}

function useProvided() {
  const provided = useContext(Context);
  if (provided === null) throw new Error("usePresence… needs a <PresenceProvider> around it");
  return provided;
}

/** The client itself, for what the hooks do not do. */
export const usePresenceClient = () => useProvided().client;

/**
 * @template {"state"|"self"} N
 * @param {N} name an event, and the client's property that it changes
 */
function useProperty(name) {
  const { client } = useProvided();
  const subscribe = useMemo(
    () => (/** @type {() => void} */ listener) => {
      client.addEventListener(name, listener);
      return () => client.removeEventListener(name, listener);
    },
    [client, name],
  );
  const get = () => client[name];
  return useSyncExternalStore(subscribe, get, get);
}

/** The friends, one's own state, and the state of the connection. */
export function usePresence() {
  const { client } = useProvided();
  const friends = useSyncExternalStore(client.subscribe, client.getSnapshot, client.getSnapshot);
  return { friends, self: useProperty("self"), state: useProperty("state"), client };
}

/**
 * One user's state; undefined while it is not known. Only a change of that user draws anew.
 * @param {number|string} id
 */
export function usePresenceOf(id) {
  const client = usePresenceClient();
  const get = () => client.get(id);
  return useSyncExternalStore(client.subscribe, get, get);
}

/**
 * Whether that user is typing to this one; and what to call for each key, and when the text is sent or
 * the field is left.
 * @param {number|string} to
 * @param {string} [conversation]
 */
export function useTyping(to, conversation) {
  const { typing } = useProvided();
  const map = useSyncExternalStore(typing.subscribe, typing.getSnapshot, typing.getSnapshot);
  const isTyping = map.has(String(to)) && map.get(String(to)) === (conversation ?? "");
  return {
    isTyping,
    onInput: () => typing.input(to, { conversation }),
    onStop: () => typing.stop(to),
  };
}

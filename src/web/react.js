// presence-client/react: the client for React 18 and newer.
//
//   <PresenceProvider token={token}><App /></PresenceProvider>
//   const { friends, state } = usePresence();
//   const status = usePresenceOf(7);

import { createContext, createElement, useContext, useEffect, useMemo } from "react";
import { useSyncExternalStore } from "react";
import { PresenceClient } from "./presence.js";

/** @type {import("react").Context<PresenceClient|null>} */
const Context = createContext(/** @type {PresenceClient|null} */ (null));

/**
 * Connects for as long as it is shown. A `client` of your own is used as it is; else one is made of
 * the other props, which are those of PresenceClient, and made anew when `base` or `token` changes.
 * @param {import("./presence.js").Options & {client?: PresenceClient, children?: import("react").ReactNode}} props
 */
export function PresenceProvider({ client: own, children, ...options }) {
  const { base, token } = options;
  const client = useMemo(() => own ?? new PresenceClient(options), [own, base, token]);
  useEffect(() => {
    if (client === own) return undefined;
    client.connect();
    return () => client.close();
  }, [client, own]);
  return createElement(Context.Provider, { value: client }, children);
}

/** The client itself, for what the hooks do not do. */
export function usePresenceClient() {
  const client = useContext(Context);
  if (client === null) throw new Error("usePresence… needs a <PresenceProvider> around it");
  return client;
}

/** The friends and the state of the connection. */
export function usePresence() {
  const client = usePresenceClient();
  const friends = useSyncExternalStore(client.subscribe, client.getSnapshot, client.getSnapshot);
  const subscribeState = (/** @type {() => void} */ listener) => {
    client.addEventListener("state", listener);
    return () => client.removeEventListener("state", listener);
  };
  const getState = () => client.state;
  return { friends, state: useSyncExternalStore(subscribeState, getState, getState), client };
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

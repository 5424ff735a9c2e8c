// A React application on presence-client/react, for the browser tests; counts how often it draws.
import { createRoot } from "react-dom/client";
import { PresenceProvider, usePresence, usePresenceOf } from "../../src/web/react.js";

window.drawn = {};

function Friend({ id }) {
  const status = usePresenceOf(id);
  window.drawn[id] = (window.drawn[id] ?? 0) + 1;
  return <li id={`friend-${id}`}>{status?.status ?? "unknown"}</li>;
}

function App() {
  const { friends, state } = usePresence();
  return (
    <ul id="app-friends" data-state={state}>
      {[...friends.keys()].map((id) => <Friend key={id} id={id} />)}
    </ul>
  );
}

window.startApp = (token) => {
  const place = document.body.appendChild(document.createElement("div"));
  const root = createRoot(place);
  root.render(<PresenceProvider token={token} share={false}><App /></PresenceProvider>);
  window.stopApp = () => root.unmount();
};

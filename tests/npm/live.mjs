// live.mjs BASE TOKEN: the client in Node; a line of JSON for each event, until its input ends.
const { PresenceClient } = await import(process.env.PRESENCE_JS);
const [base, token] = process.argv.slice(2);
const client = new PresenceClient({ base, token });

for (const name of ["state", "change", "error", "bye"]) {
  client.addEventListener(name, ({ detail }) => console.log(JSON.stringify([name, detail])));
}
client.connect();
process.stdin.on("end", () => client.close()).resume();

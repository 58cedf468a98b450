// Asks how the parts are, often while one of them is not ready, seldom when all are.
const parts = document.getElementById("parts");
const SOON_MS = 1500;
const LATER_MS = 10000;

function item({ name, state }) {
  const shown = document.createElement("li");
  const words = document.createElement("span");
  shown.className = state;
  words.textContent = state === "down" ? "does not answer" : state;
  shown.append(document.createElement("i"), `${name} `, words);
  return shown;
}

function show(found) {
  const told = JSON.stringify(found);
  if (parts.dataset.told === told) return;
  parts.dataset.told = told;
  parts.replaceChildren(...found.parts.map(item));
  const agent = found.demo_agent;
  document.getElementById("demo-agent").hidden = !agent;
  document.getElementById("no-agent").hidden = Boolean(agent);
  if (!agent) return;
  document.getElementById("email").textContent = agent.email;
  document.getElementById("kept").textContent = agent.kept_in;
}

async function look() {
  let pause = SOON_MS;
  try {
    const answer = await fetch("/status.json", { signal: AbortSignal.timeout(5000) });
    const found = await answer.json();
    show(found);
    if (found.parts.every((part) => part.state === "ready")) pause = LATER_MS;
  } catch {
    show({ parts: [{ name: "Front door", state: "down" }] });
  }
  setTimeout(look, pause);
}

look();

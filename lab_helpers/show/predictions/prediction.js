// A prediction: choices or a number, and later beside what was seen. An output of a notebook is HTML, and as such it is saved. What is
// chosen goes to a model in a kernel, if there is one that has the same name (`initialize`); a page without a kernel keeps it itself.

const key = (name) => `meshlab-prediction-${name}`;
const kept = (name) => { try { return localStorage.getItem(key(name)); } catch { return null; } };
const keep = (name, answer) => { try { localStorage.setItem(key(name), answer); } catch { /* a reader who keeps nothing */ } };
const predictions = () => (globalThis.meshlabPredictions ??= new Map());
const tell = (name) => document.dispatchEvent(new CustomEvent("meshlab-prediction", { detail: name }));
const heard = (name, update) => document.addEventListener("meshlab-prediction", (event) => { if (event.detail === name) update(); });

async function initialize({ model }) {
  const name = model.get("name");
  const told = () => tell(name);
  predictions().set(name, model);
  model.on("change:answer", told);
  told();
  return () => {
    if (predictions().get(name) === model) predictions().delete(name);
    told();
  };
}

// What has been answered: in the kernel, else on this page.
function answered(name, saved) {
  const model = predictions().get(name);
  return model ? model.get("answer") : (kept(name) ?? saved);
}

function asked(host) {
  const { name, answer } = host.dataset;
  const inputs = [...host.querySelectorAll("input")];
  const update = () => {
    const now = answered(name, answer);
    for (const input of inputs) {
      if (input.type === "radio") input.checked = input.value === now;
      else if (document.activeElement !== input) input.value = now;
    }
  };
  for (const input of inputs) {
    // JupyterLab has keys of its own, and would move its selection instead of this one.
    input.addEventListener("keydown", (event) => event.stopPropagation());
    input.addEventListener("change", () => {
      const model = predictions().get(name);
      if (model) { model.set("answer", input.value); model.save_changes(); }
      keep(name, input.value);
      tell(name);
    });
  }
  heard(name, update);
  update();
}

function resolved(host) {
  const { name, answer, seen, within } = host.dataset;
  const place = host.querySelector(".predicted");
  const update = () => {
    const now = answered(name, answer);
    const number = Number(now) === Number(now) && Number(seen) === Number(seen) && within !== "";
    const right = number ? Math.abs(Number(now) - Number(seen)) <= Number(within) : now === seen;
    place.textContent = now === "" ? "not answered" : now;
    host.classList.toggle("right", now !== "" && right);
    host.classList.toggle("other", now !== "" && !right);
  };
  heard(name, update);
  update();
}

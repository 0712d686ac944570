// A form with data-passkey asks the device, puts its answer into its hidden field and is sent like
// any other.
import { askedOf, madeBy, words } from "./ceremony.js";

const acts = { get: askedOf, create: madeBy };

const say = (form, text) => {
  const place = form.querySelector("[data-said]");
  place.textContent = text;
  place.hidden = !text;
};

// Before the page's own listeners, which take a form that is sent for one that leaves.
document.addEventListener(
  "submit",
  async (event) => {
    const form = event.target;
    const act = acts[form.dataset.passkey];
    if (!act || form.elements.answer.value) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    say(form, "");
    try {
      form.elements.answer.value = JSON.stringify(await act(form, form.dataset.ask));
      form.submit();
    } catch (error) {
      say(form, words(error));
    }
  },
  true,
);

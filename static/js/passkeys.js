// Passkeys: a form with data-passkey asks the server what to ask the device for, puts the device's
// answer into its hidden field and is sent like any other.
const wanted = async (form) => {
  const token = form.elements.csrfmiddlewaretoken.value;
  const headers = { "X-CSRFToken": token, Accept: "application/json" };
  const answer = await fetch(form.dataset.ask, { method: "POST", headers });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said.publicKey;
};

const ceremony = {
  get: async (form) => {
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await wanted(form));
    return navigator.credentials.get({ publicKey });
  },
  create: async (form) => {
    const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(await wanted(form));
    return navigator.credentials.create({ publicKey });
  },
};

const words = (error) => {
  if (error.name === "NotAllowedError") return "Nothing was shown, or it took too long. Try again.";
  if (error.name === "InvalidStateError") return "This device has a passkey of yours already.";
  return error.message || "Your browser can't do this here.";
};

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
    const act = ceremony[form.dataset.passkey];
    if (!act || form.elements.answer.value) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    say(form, "");
    try {
      if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) {
        throw new Error("This browser has no passkeys, or the address isn't a secure one.");
      }
      const made = await act(form);
      form.elements.answer.value = JSON.stringify(made.toJSON());
      form.submit();
    } catch (error) {
      say(form, words(error));
    }
  },
  true,
);

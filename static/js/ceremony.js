// Passkeys: the server says what to ask the device for, and the device answers.
const wanted = async (form, url, body) => {
  const headers = { "X-CSRFToken": form.elements.csrfmiddlewaretoken.value, Accept: "application/json" };
  const answer = await fetch(url, { method: "POST", headers, body });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.message);
  return said.publicKey;
};

const isKnown = () => {
  if (window.PublicKeyCredential?.parseRequestOptionsFromJSON) return;
  throw new Error("This browser has no passkeys, or the address isn't a secure one.");
};

// What a device that knows a passkey of ours answers, as JSON's object.
export const askedOf = async (form, url, body) => {
  isKnown();
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(await wanted(form, url, body));
  return (await navigator.credentials.get({ publicKey })).toJSON();
};

// The same of one that makes a new passkey.
export const madeBy = async (form, url) => {
  isKnown();
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(await wanted(form, url));
  return (await navigator.credentials.create({ publicKey })).toJSON();
};

export const words = (error) => {
  if (error.name === "NotAllowedError") return "Nothing was shown, or it took too long. Try again.";
  if (error.name === "InvalidStateError") return "This device has a passkey of yours already.";
  return error.message || "Your browser can't do this here.";
};

// An approval that the policy wants signed: the device is asked when the button is pressed, what it
// answered goes with the form, and nothing is sent before.
import { askedOf, words } from "../ceremony.js";

const { $, announce } = window.tower;

const say = (text) => {
  const hint = $("#decide-hint");
  if (hint) hint.textContent = text;
  announce(text);
};

const onConfirm = async (event) => {
  const form = event.target;
  const { triggeringEvent, issueRequest } = event.detail;
  if (form.id !== "decide" || !form.dataset.passkeyUrl || triggeringEvent?.submitter?.value !== "approve") return;
  event.preventDefault();
  say("Waiting for your passkey…");
  try {
    const body = new URLSearchParams({ digest: form.elements.digest.value, nonce: form.elements.nonce.value });
    form.elements.passkey.value = JSON.stringify(await askedOf(form, form.dataset.passkeyUrl, body));
    if (form.isConnected) issueRequest();
  } catch (error) {
    say(words(error));
  }
};

export const signAnswers = () => document.body.addEventListener("htmx:confirm", onConfirm);

// The code of an enrolment link stands behind the #, which browsers send to nobody. It goes into the
// form, and out of the address bar and the history.
const field = document.getElementById("id_token");
const code = decodeURIComponent(window.location.hash.slice(1));
if (field && code && !field.value) {
  field.value = code;
  window.history.replaceState(null, "", window.location.pathname);
  document.getElementById("id_password")?.focus();
}

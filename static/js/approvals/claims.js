// Claims: taken quietly by whoever begins to answer, and renewed while that person is here.
const { $ } = window.tower;
const RENEW_MS = 60000;

let isClaiming = false;

const claim = (url) => window.htmx.ajax("POST", url, { source: "#claim", target: "#claim", swap: "outerHTML" });

export const claimQuietly = async () => {
  const { mine, anothers } = $("#claim")?.dataset ?? {};
  const button = $("[data-claim-url]");
  if (mine || anothers || !button || isClaiming) return;
  isClaiming = true;
  try {
    await claim(button.dataset.claimUrl);
  } finally {
    isClaiming = false;
  }
};

export const renewClaims = () => {
  setInterval(() => {
    const form = $("#decide"); // not there for whoever may no longer decide it
    if (!form || !$("#claim")?.dataset.mine || document.hidden || !document.hasFocus()) return;
    claim(form.getAttribute("action").replace("decide/", "claim/"));
  }, RENEW_MS);
};

// What every page does: time that stays fresh, theme and density, dialogs, toasts, failed fragments.
"use strict";

(() => {
  const root = document.documentElement;
  const body = document.body;
  const $ = (selector, within = document) => within.querySelector(selector);
  const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];

  // The server's clock decides; ours only counts on from what the page said when it was made.
  const offset = Date.parse(body.dataset.now) - Date.now();
  const now = () => new Date(Date.now() + (Number.isFinite(offset) ? offset : 0));

  const { agoWords, dueWords, urgency } = window.quantities;

  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long", hourCycle: "h23" });

  const freshen = (within = document) => {
    const t = now();
    for (const el of $$("time[datetime]", within)) {
      const moment = new Date(el.dateTime);
      if (!el.dataset.zoned) {
        el.dataset.zoned = "1";
        el.title = full.format(moment);
        if ("at" in el.dataset) {
          const today = moment.toDateString() === t.toDateString();
          el.textContent = today ? clock.format(moment) : `${day.format(moment)} ${clock.format(moment)}`;
        }
      }
      if ("ago" in el.dataset) el.textContent = agoWords((t - moment) / 1000);
      if ("left" in el.dataset) el.textContent = `${Math.max(0, Math.ceil((moment - t) / 1000))} s`;
      if ("due" in el.dataset) {
        const left = (moment - t) / 1000;
        el.textContent = dueWords(left);
        el.dataset.u = urgency(left, Number(el.dataset.window || 0));
      }
    }
  };
  setInterval(() => { if (!document.hidden) freshen(); }, 1000);
  freshen();

  // Theme and density: the choice lives in a cookie, so that the server draws the page in it.
  const cycle = (button) => {
    const name = button.dataset.cycle;
    const values = button.dataset.values.split(",");
    const next = values[(values.indexOf(root.dataset[name]) + 1) % values.length];
    root.dataset[name] = next;
    const label = `${name[0].toUpperCase()}${name.slice(1)}: ${next}`;
    button.setAttribute("aria-label", label);
    button.title = label;
    const secure = location.protocol === "https:" ? "; secure" : "";
    // biome-ignore lint/suspicious/noDocumentCookie: CookieStore is not there over plain HTTP
    document.cookie = `${name}=${next}; path=${body.dataset.prefix || "/"}; max-age=31536000; samesite=lax${secure}`;
    announce(label);
    document.dispatchEvent(new CustomEvent("tower:look", { detail: { [name]: next } }));
  };

  const announce = (text) => { const el = $("#announce"); el.textContent = ""; requestAnimationFrame(() => { el.textContent = text; }); };

  const toast = (text, action, stays) => {
    const el = document.createElement("div");
    el.className = "toast";
    const span = document.createElement("span");
    span.textContent = text;
    el.append(span);
    if (action) el.append(action);
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn";
    close.dataset.dismiss = "";
    close.textContent = "Dismiss";
    el.append(close);
    $("#toasts").append(el);
    if (stays) el.dataset.stays = "1";
    else setTimeout(() => { if (!el.matches(":hover, :focus-within")) el.remove(); }, 12000);
  };

  document.addEventListener("click", (event) => {
    const el = event.target.closest("[data-cycle], [data-open], [data-close], [data-dismiss], [data-copy]");
    if (!el) return;
    if (el.dataset.cycle) cycle(el);
    if (el.dataset.open) { $("#user-menu")?.hidePopover?.(); open(el.dataset.open); }
    if ("close" in el.dataset) el.closest("dialog").close();
    if ("dismiss" in el.dataset) el.closest(".toast, .notice")?.remove();
    if (el.dataset.copy) navigator.clipboard?.writeText($(el.dataset.copy).textContent.trim()).then(() => announce("Copied"));
  });
  // Back to the form as it was filled in, where the browser still has it.
  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-back]") || history.length < 2) return;
    event.preventDefault();
    history.back();
  });
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirm;
    if (question && !window.confirm(question)) event.preventDefault();
  });
  // A log-in in another tab makes this page's token old: what is sent carries the browser's present
  // one, and says whose page it was, so that nothing is done in another person's name.
  const token = () => /(?:^|; )(?:__(?:Host|Secure)-)?csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  const stamp = (form) => {
    const field = form.elements.csrfmiddlewaretoken;
    if (!field) return;
    if (token()) field.value = token();
    if (!body.dataset.user || form.elements.opened_by) return;
    const by = document.createElement("input");
    by.type = "hidden";
    by.name = "opened_by";
    by.value = body.dataset.user;
    form.append(by);
  };
  document.addEventListener("submit", (event) => stamp(event.target), true);
  body.addEventListener("htmx:configRequest", (event) => {
    if (token()) event.detail.headers["X-CSRFToken"] = token();
  });

  // The session ends when nobody does anything. Whoever types on one page for long, or looks at what
  // comes by itself, is told of here: a page that asks by itself is nobody who does something.
  const ACTIVE_MS = 60_000;
  let acted = 0;
  for (const kind of ["keydown", "pointerdown"]) {
    addEventListener(kind, () => { acted = Date.now(); }, { capture: true, passive: true });
  }
  if (body.dataset.active) {
    setInterval(() => {
      if (Date.now() - acted > ACTIVE_MS) return;
      const headers = { "X-CSRFToken": token() || "", Accept: "application/json" };
      fetch(body.dataset.active, { method: "POST", headers }).catch(() => {});
    }, ACTIVE_MS);
  }

  // A double click sends a form once. What comes twice all the same is the server's to know.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post" || form.hasAttribute("hx-post")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => { for (const form of $$("form[data-sent]")) delete form.dataset.sent; });

  const open = (id) => {
    const dialog = document.getElementById(id);
    if (!dialog || dialog.open) return;
    const input = $("input:not([type=hidden])", dialog);
    if (input) { input.value = ""; input.dispatchEvent(new Event("input")); }
    dialog.showModal();
  };

  // A session that ended, or an answer for the whole page: what is there stays, and it is said.
  const loggedOut = () => {
    if (body.dataset.out) return;
    body.dataset.out = "1";
    document.dispatchEvent(new CustomEvent("tower:out"));
    const way = document.createElement("a");
    way.className = "btn";
    way.href = `${body.dataset.login}?next=${encodeURIComponent(body.dataset.return)}`;
    way.target = "_blank";
    way.rel = "noopener";
    way.textContent = "Log in (new tab)";
    toast("You are logged out. Nothing was done, and what you typed is kept. Log in, come back here and send it again.", way, true);
  };
  document.addEventListener("tower:in", () => {
    delete body.dataset.out;
    $("#toasts [data-stays]")?.remove();
  });
  body.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    const said = xhr.getResponseHeader("X-Tower-Notice");
    if (!said) return;
    event.detail.shouldSwap = false;
    if (xhr.getResponseHeader("X-Tower-Login")) loggedOut(); else if (event.detail.requestConfig?.verb !== "get") toast(said);
  });
  // A part that is drawn anew keeps what was opened in it, and where the keyboard was.
  const folds = new Map();
  body.addEventListener("htmx:beforeSwap", (event) => {
    folds.clear();
    for (const fold of $$("details[data-fold][id]", event.detail.target)) {
      folds.set(fold.id, { open: fold.open, focused: document.activeElement === $("summary", fold) });
    }
  });
  body.addEventListener("htmx:afterSwap", () => {
    for (const [id, was] of folds) {
      const fold = document.getElementById(id);
      if (!fold) continue;
      fold.open = was.open;
      if (was.focused) $("summary", fold).focus({ preventScroll: true });
    }
    folds.clear();
  });
  const retry = (detail) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn";
    button.dataset.dismiss = "";
    button.textContent = "Try again";
    button.addEventListener("click", () => {
      const { path, verb } = detail.requestConfig || {};
      if (path && verb === "get") window.htmx.ajax("GET", path, { target: detail.target, source: detail.elt });
    });
    return button;
  };
  const failed = (event) => {
    const { detail } = event;
    const target = detail.target;
    if (detail.xhr && detail.xhr.status >= 400 && detail.xhr.status < 500) return;
    const busy = target && $("[aria-busy=true]", target);
    const text = "This part could not be loaded. Everything else works, and what you typed is kept.";
    if (busy) {
      const notice = document.createElement("div");
      notice.className = "notice bad";
      const p = document.createElement("p");
      p.textContent = text;
      notice.append(p, retry(detail));
      busy.replaceWith(notice);
    } else if (detail.requestConfig?.verb !== "get") {
      toast("Not done: the tower could not be reached. What you typed is kept.");
    } else if (!detail.elt.closest("[data-quiet], .nav")) {
      toast(text, retry(detail));
    }
  };
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) body.addEventListener(name, failed);
  body.addEventListener("htmx:afterSettle", (event) => freshen(event.detail.elt));

  // One title for all tabs: the number of waiting approvals comes first.
  const bareTitle = document.title;
  const countTitle = () => {
    const n = Number($("#nav-waiting")?.dataset.n || 0);
    document.title = n ? `(${n}) ${bareTitle}` : bareTitle;
  };
  countTitle();
  body.addEventListener("htmx:afterSettle", countTitle);

  // What was typed before the log-in, back in its form, wherever on the page that comes to stand.
  const fill = (form, fields) => {
    const seen = new Map();
    for (const [name, value] of fields) seen.set(name, [...(seen.get(name) || []), value]);
    for (const [name, values] of seen) {
      const found = form.elements[name];
      const list = !found ? [] : found instanceof RadioNodeList ? [...found] : [found];
      list.forEach((el, i) => {
        if (el.type === "checkbox" || el.type === "radio") el.checked = values.includes(el.value);
        else el.value = values[Math.min(i, values.length - 1)];
        for (const kind of ["input", "change"]) el.dispatchEvent(new Event(kind, { bubbles: true }));
      });
    }
    const dialog = form.closest("dialog");
    if (dialog && !dialog.open) dialog.showModal();
    form.closest("details")?.setAttribute("open", "");
    $("textarea:not([hidden]), input:not([type=hidden])", form)?.focus();
  };
  const kept = $("#kept-form");
  const restore = () => {
    if (!kept || kept.dataset.done) return;
    const { action, fields } = JSON.parse(kept.textContent);
    const target = (form) => form.getAttribute("hx-post") || form.getAttribute("action") || location.pathname + location.search;
    const path = (url) => { const to = new URL(url, location.href); return to.pathname + to.search; };
    const form = $$("form").find((f) => f.id !== "send-kept" && path(target(f)) === path(action));
    if (!form) return;
    kept.dataset.done = "1";
    fill(form, fields);
    const words = $("#kept-banner span");
    if (words) words.textContent = "What you typed is back in its form. It was not sent.";
  };
  restore();
  body.addEventListener("htmx:afterSettle", restore);

  // Saved views: what is saved is what the address says now, also where only a part was drawn anew.
  const FLEETING = ["before", "after", "open", "page", "view"];
  const filters = (query) => {
    const unsaid = new URLSearchParams($("[data-views]").dataset.views);
    const says = ([name, value]) => value && !FLEETING.includes(name) && unsaid.get(name) !== value;
    const found = [...new URLSearchParams(query)].filter(says);
    return new URLSearchParams(found.sort((a, b) => (String(a) < String(b) ? -1 : 1))).toString();
  };
  const sayView = () => {
    const menu = $("[data-views]");
    if (!menu) return;
    const now = filters(location.search);
    $("[data-address]", menu).value = now;
    const links = $$("[data-view]", menu);
    const shown = now ? links.find((link) => filters(link.dataset.view) === now) : null;
    for (const link of links) link.toggleAttribute("aria-current", link === shown);
    $("[data-view-name]", menu).textContent = shown ? $("[data-view-label]", shown).textContent : "Views";
  };
  for (const name of ["htmx:pushedIntoHistory", "htmx:replacedInHistory"]) body.addEventListener(name, sayView);

  window.tower = { now, freshen, toast, announce, open, token, loggedOut, $, $$ };
})();

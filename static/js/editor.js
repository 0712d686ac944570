// The editor of documents. The text is the one source: what is changed in the form or typed as JSON
// is written into it by the server, and whatever goes wrong, what was typed stays on the page.
"use strict";

(() => {
  const form = document.getElementById("editor");
  if (!form) return;
  const area = document.getElementById("text");
  const findings = document.getElementById("findings");
  const state = document.getElementById("save-state");
  const conflict = document.getElementById("conflict");
  const refused = document.getElementById("refused");
  const announce = document.getElementById("announce");
  const json = document.getElementById("json"), jsonText = document.getElementById("json-text");
  const readOnly = "readOnly" in form.dataset;
  const CHECK_AFTER = 400, SAVE_AFTER = 1500, RETRY_AFTER = 5000;
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const title = document.title.replace(/^\(\d+\) /, "");

  let ace = null, problems = [], at = -1, replacing = false, unread = null;
  let checkTimer = 0, saveTimer = 0, checks = 0, saving = false, again = false, halted = false, leaving = false, submitting = false, unchecked = false;

  // --- the text ----------------------------------------------------------------------------------
  const text = () => (ace ? ace.getValue() : area.value);
  // Which view is being typed in. While it is the JSON, the text stays as it was when that began, so
  // that no comment is lost by a word that is half written.
  const inJson = () => Boolean(json) && form.elements.view.value === "json";
  const source = () => (inJson() ? `json:${jsonText.value}` : `text:${text()}`);
  const sync = () => { area.value = text(); };
  let saved = inJson() ? `json:${jsonText.defaultValue}` : `text:${area.defaultValue}`;
  const dirty = () => source() !== saved;

  // Replace only what differs, so that the cursor, the undo history and the scroll stay.
  const setText = (wanted) => {
    const now = text();
    if (now === wanted) return;
    replacing = true;
    if (ace) {
      let start = 0, end = 0;
      const most = Math.min(now.length, wanted.length);
      while (start < most && now[start] === wanted[start]) start += 1;
      while (end < most - start && now[now.length - 1 - end] === wanted[wanted.length - 1 - end]) end += 1;
      const doc = ace.session.getDocument();
      const range = window.ace.Range.fromPoints(doc.indexToPosition(start, 0), doc.indexToPosition(now.length - end, 0));
      ace.session.replace(range, wanted.slice(start, wanted.length - end));
    } else {
      const keep = area.selectionStart;
      area.value = wanted;
      area.setSelectionRange(keep, keep);
    }
    replacing = false;
  };

  const goTo = (line, column) => {
    const field = inJson() ? jsonText : area;
    showAs(inJson() ? "json" : "yaml");
    if (ace && !inJson()) {
      ace.gotoLine(line, column - 1, false);
      ace.focus();
      return;
    }
    const lines = field.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((n, l) => n + l.length + 1, 0) + column - 1;
    field.focus();
    field.setSelectionRange(start, start);
    field.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(field).lineHeight));
  };

  // --- checking ----------------------------------------------------------------------------------
  const post = (url) => {
    sync();
    const { token } = window.tower;
    const headers = { Accept: "application/json", "X-Opened-By": document.body.dataset.user };
    if (token()) form.elements.csrfmiddlewaretoken.value = token();
    return fetch(url, { method: "POST", body: new FormData(form), headers, redirect: "manual" });
  };

  const showProblems = (found) => {
    problems = found;
    at = -1;
    document.title = found.length ? `(${found.length}) ${title}` : title;
    if (!ace) return;
    ace.session.setAnnotations((inJson() ? [] : found).map((p) => ({ row: p.line - 1, column: p.column - 1, text: p.text, type: p.severity })));
  };

  const showFields = (values, errors) => {
    for (const [name, value] of Object.entries(values)) {
      const field = form.elements[`f:${name}`];
      const old = form.elements[`i:${name}`];
      if (!field || errors[name]) continue;
      if (field.tagName === "SELECT" && ![...field.options].some((o) => o.value === value)) field.add(new Option(value, value));
      if (field !== document.activeElement || field.value === old.value) field.value = value;
      old.value = value;
    }
    for (const note of form.querySelectorAll("[data-error]")) {
      const said = errors[note.dataset.error] || "";
      note.textContent = said;
      note.hidden = !said;
      const field = form.elements[`f:${note.dataset.error}`];
      if (said) field.setAttribute("aria-invalid", "true"); else field.removeAttribute("aria-invalid");
    }
  };

  // What was typed as JSON and is not in the text: nobody can change the text or the form meanwhile.
  const showUnread = (found) => {
    unread = found[0] || null;
    document.getElementById("unread").hidden = !unread;
    if (unread) document.getElementById("unread-why").textContent = `What was typed as JSON is not in the text: line ${unread.line}, column ${unread.column}. ${unread.text} ${unread.fix}`;
    if (unread) jsonText.setAttribute("aria-invalid", "true"); else jsonText.removeAttribute("aria-invalid");
    if (ace) ace.setReadOnly(readOnly || Boolean(unread)); else area.readOnly = readOnly || Boolean(unread);
    const fields = document.getElementById("main-fields");
    if (!fields) return;
    fields.disabled = Boolean(unread);
    document.getElementById("fields-why").hidden = !unread;
  };
  const showJson = (said) => {
    showUnread(said.unread);
    if (jsonText.value !== said.json) jsonText.value = said.json;
    const why = inJson() ? "" : said.why_no_json;
    document.getElementById("no-json").hidden = !why;
    document.getElementById("no-json-why").textContent = why;
    jsonText.hidden = Boolean(why);
    document.getElementById("lost").hidden = !said.lost.length;
    document.getElementById("lost-list").replaceChildren(...said.lost.map((words) => {
      const line = document.createElement("li");
      line.appendChild(document.createElement("code")).textContent = words;
      return line;
    }));
  };

  const checkSoon = () => { clearTimeout(checkTimer); checkTimer = setTimeout(check, CHECK_AFTER); };
  // Whether the server has said what it makes of what is on the page now.
  const check = async () => {
    clearTimeout(checkTimer);
    const turn = ++checks;
    const sent = source();
    findings.setAttribute("aria-busy", "true");
    try {
      const answer = await post(form.dataset.check);
      if (!answer.ok) throw new Error(String(answer.status));
      const said = await answer.json();
      unchecked = false;
      if (turn !== checks) return null;
      if (source() !== sent) { checkSoon(); return null; } // typed on, or a save wrote the fields into it
      if (inJson() ? said.json !== jsonText.value : said.text !== text()) scheduleSave();
      if (!inJson()) setText(said.text);
      if (json) showJson(said);
      showFields(said.fields, said.field_errors);
      const open = document.getElementById("text-diff").open;
      const had = problems.length;
      findings.innerHTML = said.html; // rendered and escaped by our server
      document.getElementById("lines").innerHTML = said.lines;
      document.getElementById("text-diff").open = open;
      showProblems(said.problems);
      if (had !== problems.length) announce.textContent = problems.length ? `${problems.length} problems` : "No problems";
      return said;
    } catch {
      unchecked = true;
      if (turn === checks) announce.textContent = "The text could not be checked; it will be tried again.";
    } finally {
      if (turn === checks) findings.removeAttribute("aria-busy");
    }
    return null;
  };

  // --- saving ------------------------------------------------------------------------------------
  // From the first save on there is a draft: every form of the page names its revision, and it can be
  // discarded.
  const keepRevision = (revision) => {
    for (const field of document.querySelectorAll('input[name="revision"]')) field.value = revision;
    const discard = document.getElementById("discard");
    if (discard) discard.hidden = false;
  };
  const say = (words, kind) => { state.textContent = words; state.dataset.kind = kind || ""; };

  const save = async (over) => {
    clearTimeout(saveTimer);
    if (readOnly || (halted && !over)) return;
    if (saving) { again = true; return; }
    saving = true;
    const sent = source();
    if (over) form.elements.revision.value = over;
    say("Saving…");
    try {
      const answer = await post(form.action);
      if (answer.status === 409) { showConflict({ who: "", when: "", ...(await answer.json()) }); return; }
      if (answer.headers.get("X-Tower-Login")) { window.tower.loggedOut(); say("Not saved: you are logged out. Your text is kept here.", "bad"); return; }
      if (answer.status === 403 || answer.status === 422) { say(`Not saved: ${(await answer.json()).message} Your text is kept here.`, "bad"); return; }
      if (answer.status === 429) { say(`Not saved yet. ${(await answer.json()).message}`, "bad"); saveTimer = setTimeout(save, RETRY_AFTER); return; }
      if (!answer.ok) throw new Error(String(answer.status));
      const said = await answer.json();
      keepRevision(said.revision);
      saved = sent;
      if (!inJson() && source() === sent && said.text !== text()) { setText(said.text); saved = source(); }
      halted = false;
      conflict.hidden = true;
      say(`Saved ${clock.format(new Date(said.saved_at))}`, "good");
      if (unchecked) check();
      document.body.dispatchEvent(new CustomEvent("draft-saved"));
    } catch {
      say("Not saved yet: the server can't be reached. Your text is kept here.", "bad");
      saveTimer = setTimeout(save, RETRY_AFTER);
    } finally {
      saving = false;
      if (again) { again = false; save(); }
    }
  };

  // Submitting saves first, and leaves the page only when the server has said yes: whatever goes
  // wrong on the way, the text stays here.
  const submitForReview = async () => {
    const button = document.getElementById("submit");
    if (readOnly || halted || submitting) return;
    clearTimeout(saveTimer);
    submitting = true;
    button.setAttribute("aria-disabled", "true");
    refused.hidden = true;
    say("Submitting…");
    try {
      while (saving) await new Promise((done) => { setTimeout(done, 50); });
      const sent = source();
      const answer = await post(button.getAttribute("formaction"));
      if (answer.headers.get("X-Tower-Login")) { window.tower.loggedOut(); say("Not submitted: you are logged out. Your text is kept here.", "bad"); return; }
      if (!answer.headers.get("Content-Type")?.startsWith("application/json")) throw new Error(String(answer.status));
      const said = await answer.json();
      if (answer.ok) { leaving = true; window.location.assign(said.to); return; }
      if (said.revision) { showConflict(said); return; }
      if (said.saved) { keepRevision(said.saved); saved = sent; }
      refused.querySelector("p").textContent = said.message;
      refused.hidden = false;
      say(said.saved ? "Saved, not submitted" : "Not submitted. Your text is kept here.", "bad");
      if (said.problems?.length) { check(); goTo(said.problems[0].line, said.problems[0].column); }
    } catch {
      say("Not submitted: the server can't be reached. Your text is kept here.", "bad");
      if (dirty()) saveTimer = setTimeout(save, RETRY_AFTER);
    } finally {
      submitting = false;
      button.removeAttribute("aria-disabled");
    }
  };

  const showConflict = (said) => {
    halted = true;
    const [head, when] = conflict.querySelectorAll("p");
    head.textContent = said.message;
    when.textContent = said.who ? `By ${said.who}, ${clock.format(new Date(said.when))}.` : "";
    const button = document.getElementById("save-over");
    button.dataset.revision = said.revision;
    button.hidden = !said.revision;
    conflict.querySelector(".theirs").innerHTML = said.theirs || ""; // rendered and escaped by our server
    conflict.hidden = false;
    say("Not saved: somebody was first", "bad");
  };

  const scheduleSave = () => { clearTimeout(saveTimer); saveTimer = setTimeout(save, SAVE_AFTER); };
  const changed = () => {
    if (replacing) return;
    if (dirty()) say("Unsaved changes");
    checkSoon();
    scheduleSave();
  };

  // --- keys --------------------------------------------------------------------------------------
  const nextProblem = (step) => {
    if (!problems.length) { announce.textContent = "No problems"; return; }
    at = at < 0 ? (step > 0 ? 0 : problems.length - 1) : (at + step + problems.length) % problems.length;
    const problem = problems[at];
    goTo(problem.line, problem.column);
    announce.textContent = `Line ${problem.line}: ${problem.text}`;
  };
  const toggleDiff = () => {
    const diff = document.getElementById("text-diff");
    diff.open = !diff.open;
    if (diff.open) diff.scrollIntoView({ block: "nearest" });
  };

  document.addEventListener("keydown", (event) => {
    const ctrl = event.ctrlKey || event.metaKey;
    let act = null;
    if (ctrl && event.key.toLowerCase() === "s") act = () => save();
    else if (ctrl && event.key === "Enter") act = submitForReview;
    else if (event.altKey && event.key === "ArrowDown") act = () => nextProblem(1);
    else if (event.altKey && event.key === "ArrowUp") act = () => nextProblem(-1);
    else if (event.altKey && event.code === "KeyD") act = toggleDiff;
    if (!act || ((event.key === "s" || event.key === "Enter") && readOnly)) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }, true);

  findings.addEventListener("click", (event) => {
    const jump = event.target.closest(".jump");
    if (jump) goTo(Number(jump.dataset.line), Number(jump.dataset.column));
  });
  form.addEventListener("change", (event) => {
    if (event.target.name?.startsWith("f:")) check();
  });
  form.addEventListener("submit", (event) => {
    sync();
    if (event.submitter && event.submitter.id === "save") { event.preventDefault(); save(); return; }
    if (event.submitter && event.submitter.id === "submit") { event.preventDefault(); submitForReview(); return; }
    leaving = true;
  });
  document.getElementById("save-over").addEventListener("click", (event) => save(event.currentTarget.dataset.revision));
  area.addEventListener("input", changed);
  jsonText?.addEventListener("input", () => { form.elements.view.value = "json"; changed(); });
  document.addEventListener("tower:in", () => { if (dirty()) save(); });
  window.addEventListener("beforeunload", (event) => { if (dirty() && !leaving && !readOnly) event.preventDefault(); });

  // --- YAML and JSON: one source -------------------------------------------------------------------
  const showAs = (kind) => {
    if (!json) return;
    json.hidden = kind !== "json";
    document.getElementById("yaml").hidden = kind === "json";
    for (const name of ["yaml", "json"]) document.getElementById(`as-${name}`).setAttribute("aria-pressed", String(name === kind));
    if (ace) ace.resize();
  };
  // Go on in the text, with what was typed as JSON in it.
  const backToText = (wanted) => {
    const clean = !dirty();
    form.elements.view.value = "text";
    setText(wanted);
    if (clean) saved = source(); else scheduleSave();
  };
  const showText = async () => {
    if (!inJson()) { showAs("yaml"); return; }
    const said = await check();
    if (!said) { say("Shown as YAML when the server can be reached. What you typed is kept here.", "bad"); return; }
    if (!said.unread.length) backToText(said.text);
    showAs("yaml");
  };
  if (json) {
    document.getElementById("as-yaml").addEventListener("click", showText);
    document.getElementById("as-json").addEventListener("click", () => { showAs("json"); if (!inJson()) check(); });
    document.getElementById("unread-go")?.addEventListener("click", () => goTo(unread.line, unread.column));
    document.getElementById("unread-drop")?.addEventListener("click", () => {
      if (!window.confirm("Drop what was typed as JSON? The text stays as it was before.")) return;
      form.elements.view.value = "text";
      showUnread([]);
      showAs("yaml");
      changed();
      check();
      if (ace) ace.focus(); else area.focus();
    });
  }

  // --- Ace, where there is room and a keyboard -----------------------------------------------------
  const startAce = () => {
    if (!window.ace || window.matchMedia("(width < 720px), (pointer: coarse)").matches) return;
    window.ace.define("ace/theme/tower", ["require", "exports", "module"], (_require, exports) => {
      Object.assign(exports, { cssClass: "ace-tower", cssText: "", isDark: false });
    });
    const box = document.getElementById("ace");
    box.hidden = false;
    ace = window.ace.edit(box, {
      mode: `ace/mode/${form.dataset.mode}`, theme: "ace/theme/tower", useWorker: false, readOnly, value: area.value,
      tabSize: 2, useSoftTabs: true, showPrintMargin: false, minLines: 20, maxLines: 60, wrap: form.dataset.mode === "text",
      enableKeyboardAccessibility: true, fontSize: 13, showFoldWidgets: false, textInputAriaLabel: "The text of the draft",
    });
    ace.session.setUndoManager(new window.ace.UndoManager());
    for (const name of ["movelinesup", "movelinesdown"]) ace.commands.removeCommand(name);
    ace.session.on("change", changed);
    area.hidden = true;
    document.querySelector('label[for="text"]').addEventListener("click", () => ace.focus());
  };

  document.documentElement.classList.add("js");
  startAce();
  const first = [...findings.querySelectorAll(".problems li")].map((li) => {
    const jump = li.querySelector(".jump");
    return { line: Number(jump.dataset.line), column: Number(jump.dataset.column), text: li.querySelector("p").textContent.trim(), severity: li.dataset.severity };
  });
  showProblems(first);
  if (json && inJson() && !document.getElementById("unread").hidden) showUnread([{ ...first[0], fix: "" }]);
  if (dirty()) changed();
  if (!conflict.hidden || document.getElementById("editor-error")) halted = Boolean(document.querySelector("[name=over]"));
})();

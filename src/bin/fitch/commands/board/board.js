// The runs below a folder, live: what has changed is asked for every second while the page is seen.
(() => {
  const INTERVAL = 1000, MAX_CHOSEN = 40;
  const at = id => document.getElementById(id);
  const runs = new Map(), rows = new Map(), curves = new Map(), charts = new Map();
  // What is shown is in the address, so that it can be kept as a bookmark.
  const asked = new URLSearchParams(location.hash.slice(1));
  const chosen = new Set(asked.getAll("run"));
  let version = 0, hasBegun = location.hash.length > 1, options = [], sort = () => {};

  const plain = value => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const measured = value => (value === null || value === undefined ? "" : shortNumber(value));
  function time(seconds) {
    if (seconds === null || seconds === undefined) return "";
    if (seconds < 60) return `${seconds.toFixed(1)} s`;
    return seconds < 3600 ? `${(seconds / 60).toFixed(1)} min` : `${(seconds / 3600).toFixed(1)} h`;
  }

  // title, text, and the value to sort by if it is another one.
  const COLUMNS = [
    { title: "state", text: run => run.state, isText: true },
    { title: "epochs", text: run => (run.of ? `${run.epochs.toLocaleString("en")} of ${run.of.toLocaleString("en")}` : plain(run.epochs)), value: run => run.epochs },
    { title: "best", text: run => measured(run.best), value: run => run.best },
    { title: "test accuracy", text: run => measured(run.test_accuracy), value: run => run.test_accuracy },
    { title: "95 % interval", text: run => (run.test_accuracy_interval || []).map(end => end.toFixed(4)).join(" to "), value: run => (run.test_accuracy_interval || [])[0] },
    { title: "test loss", text: run => measured(run.test_loss), value: run => run.test_loss },
    { title: "monitored", text: run => run.monitor, isText: true },
    { title: "in epoch", text: run => plain(run.best_epoch) },
    { title: "time", text: run => time(run.seconds), value: run => run.seconds },
    { title: "data", text: run => run.data, isText: true },
    { title: "started", text: run => plain(run.started).slice(0, 19).replace("T", " "), isText: true },
  ];
  const columns = () => [
    ...options.map(name => ({ title: name.replaceAll("_", "-"), text: run => plain((run.options || {})[name]) })),
    ...COLUMNS,
  ];

  function fill(cell, column, run) {
    const text = column.text(run) ?? "";
    if (cell.textContent !== text) cell.textContent = text;
    if (column.value) cell.dataset.value = plain(column.value(run));
    if (column.title === "state") cell.classList.toggle("running", run.state === "running");
  }

  function newRow(run) {
    const row = document.createElement("tr");
    const box = element("input", { type: "checkbox", checked: chosen.has(run.id) }, row.insertCell());
    box.setAttribute("aria-label", `draw ${run.id}`);
    box.addEventListener("change", () => choose(run.id, box.checked));
    const name = element("th", { scope: "row" }, row);
    element("a", { textContent: run.id, href: `run?run=${encodeURIComponent(run.id)}`, title: run.id }, name);
    for (const column of columns()) row.insertCell().className = column.isText ? "text" : "";
    return row;
  }

  function showRow(run) {
    if (!rows.has(run.id)) {
      rows.set(run.id, newRow(run));
      at("runs").tBodies[0].append(rows.get(run.id));
    }
    const row = rows.get(run.id);
    columns().forEach((column, index) => fill(row.cells[index + 2], column, run));
    mark(row, chosen.has(run.id));
  }

  function mark(row, isChosen) {
    row.cells[0].firstChild.checked = isChosen;
    row.cells[0].dataset.value = isChosen ? 0 : 1;
  }

  // The head anew, and all rows: the options that differ in a folder are columns when it is chosen.
  function rebuild() {
    const table = at("runs"), head = table.tHead.rows[0], folder = at("folder").value;
    options = folder === "*" ? [] : [...new Set([...runs.values()].filter(run => run.group === folder)
      .flatMap(run => Object.keys(run.options || {})))].sort();
    head.replaceChildren();
    for (const { title, isText } of [{ title: "drawn" }, { title: "run", isText: true }, ...columns()]) {
      element("th", { scope: "col", textContent: title, className: isText ? "text" : "" }, head);
    }
    sort = makeSortable(table);
    rows.clear();
    table.tBodies[0].replaceChildren();
    [...runs.values()].sort((one, other) => (one.started || "") < (other.started || "") ? 1 : -1).forEach(showRow);
    filter();
  }

  function filter() {
    const words = at("filter").value.toLowerCase().split(/\s+/).filter(Boolean), folder = at("folder").value;
    let shown = 0;
    for (const [id, row] of rows) {
      const run = runs.get(id);
      const text = [id, run.data, run.state, ...Object.entries(run.options || {}).map(([name, value]) => `${name}=${plain(value)}`)]
        .join(" ").toLowerCase();
      row.hidden = !((folder === "*" || run.group === folder) && words.every(word => text.includes(word)));
      shown += !row.hidden;
    }
    const running = [...runs.values()].filter(run => run.state === "running").length;
    const words_of = count => `${count.toLocaleString("en")} ${count === 1 ? "run" : "runs"}`;
    const status = `${words_of(runs.size)}, ${running} in progress${shown < runs.size ? `; ${words_of(shown)} shown` : ""}`;
    if (at("status").textContent !== status) at("status").textContent = status;
  }

  function showFolders() {
    const counts = new Map();
    for (const run of runs.values()) counts.set(run.group, (counts.get(run.group) || 0) + 1);
    const groups = [...counts.keys()].sort(), select = at("folder");
    const names = groups.map(group => `${group || "(top)"}: ${counts.get(group)}`);
    if (names.join("\n") === [...select.options].slice(1).map(option => option.textContent).join("\n")) return;
    const before = select.value;
    [...select.options].slice(1).forEach(option => option.remove());
    groups.forEach((group, index) => element("option", { value: group, textContent: names[index] }, select));
    select.value = groups.includes(before) ? before : "*";
  }

  function choose(id, isChosen) {
    if (isChosen) chosen.add(id); else chosen.delete(id);
    hasBegun = true;
    keepInAddress();
    if (rows.has(id)) mark(rows.get(id), isChosen);
    fetchCurves();
  }

  function keepInAddress() {
    const kept = new URLSearchParams([...chosen].map(id => ["run", id]));
    if (at("filter").value) kept.set("filter", at("filter").value);
    if (at("folder").value !== "*") kept.set("folder", at("folder").value);
    history.replaceState(null, "", `#${kept}`);
  }

  async function ask(path) {
    const response = await fetch(path);
    if (!response.ok) throw new Error(await response.text());
    return response.json();
  }

  // The curves of chosen runs that have had epochs since they were read.
  async function fetchCurves() {
    const wanted = [...chosen].filter(id => runs.has(id)).slice(0, MAX_CHOSEN);
    const stale = wanted.filter(id => !curves.has(id) || curves.get(id).epochs !== runs.get(id).epochs
      || curves.get(id).state !== runs.get(id).state);
    await Promise.all(stale.map(async id => {
      const { epochs, state } = runs.get(id);
      try {
        const read = await ask(`curves?run=${encodeURIComponent(id)}`);
        // Of a very long history, the last epochs may come later.
        const last = read.epochs[read.epochs.length - 1] || 0;
        curves.set(id, { ...read, id, epochs: last < epochs ? -1 : epochs, state, points: read.epochs });
      } catch (fault) {
        curves.delete(id);
      }
    }));
    drawCurves(wanted.filter(id => curves.has(id)).map(id => curves.get(id)));
  }

  function drawCurves(drawn) {
    at("hint").hidden = drawn.length > 0;
    at("hint").textContent = chosen.size ? "The chosen runs have no epochs yet." : "No run is chosen.";
    const withTraining = at("training").checked, names = metricNames(drawn);
    for (const [name, chart] of charts) {
      if (!names.includes(name)) { chart.figure.remove(); charts.delete(name); }
    }
    for (const name of names) {
      const series = [];
      drawn.forEach((run, color) => {
        const has = metric => run.metrics[metric] && run.metrics[metric].some(value => value !== null);
        const validation = `val_${name}`;
        if (has(validation)) {
          series.push({ label: withTraining ? `${run.id}, validation` : run.id, epochs: run.points, values: run.metrics[validation], color, isValidation: withTraining });
        }
        if (has(name) && (withTraining || !has(validation))) {
          series.push({ label: `${run.id}, training`, epochs: run.points, values: run.metrics[name], color });
        }
      });
      if (!charts.has(name)) charts.set(name, new Chart(at("curves"), titled(name)));
      const isValidated = !withTraining && drawn.some(run => run.metrics[`val_${name}`]);
      charts.get(name).show(series, []);
      charts.get(name).figure.querySelector("h3").textContent = isValidated ? `${titled(name)} (validation)` : titled(name);
    }
  }

  async function update() {
    if (document.hidden) return;
    try {
      const news = await ask(`runs?since=${version}`);
      const isFirst = version === 0;
      if (news.all) { runs.clear(); curves.clear(); }
      news.removed.forEach(id => { runs.delete(id); chosen.delete(id); });
      news.runs.forEach(run => runs.set(run.id, run));
      version = news.version;
      if (!news.runs.length && !news.removed.length && !news.all) return filter();
      if (isFirst && !hasBegun) {
        // What one came to see: the runs in progress, else the newest.
        const byTime = [...runs.values()].sort((one, other) => (one.started || "") < (other.started || "") ? 1 : -1);
        const running = byTime.filter(run => run.state === "running");
        (running.length ? running : byTime).slice(0, 5).forEach(run => chosen.add(run.id));
      }
      const before = at("folder").value;
      showFolders();
      if (isFirst && asked.has("folder") && [...at("folder").options].some(one => one.value === asked.get("folder"))) {
        at("folder").value = asked.get("folder");
      }
      const isNew = news.runs.some(run => !rows.has(run.id) || Object.keys(run.options || {}).some(name => !options.includes(name)));
      if (news.all || news.removed.length || before !== at("folder").value
        || (isNew && (at("folder").value !== "*" || news.runs.some(run => !rows.has(run.id))))) {
        rebuildKeepingSort();
      } else {
        news.runs.forEach(showRow);
        sort();
        filter();
      }
      await fetchCurves();
    } catch (fault) {
      at("status").textContent = "The board does not answer; is fitch board still running?";
    }
  }

  function rebuildKeepingSort() {
    const sorted = [...at("runs").tHead.rows[0].cells].find(head => /ending$/.test(head.getAttribute("aria-sort") || ""));
    const [title, direction] = sorted ? [sorted.textContent, sorted.getAttribute("aria-sort")] : [];
    rebuild();
    const head = [...at("runs").tHead.rows[0].cells].find(one => one.textContent === title);
    for (let press = 0; head && press < 2 && head.getAttribute("aria-sort") !== direction; press++) head.firstChild.click();
  }

  at("filters").addEventListener("submit", event => event.preventDefault());
  at("filter").value = asked.get("filter") || "";
  at("filter").addEventListener("input", () => { filter(); keepInAddress(); });
  at("folder").addEventListener("change", () => { rebuildKeepingSort(); keepInAddress(); });
  at("training").addEventListener("change", fetchCurves);
  at("none").addEventListener("click", () => [...chosen].forEach(id => choose(id, false)));
  document.addEventListener("visibilitychange", update);
  const again = () => update().then(() => setTimeout(again, INTERVAL));
  again();
})();

// The page of a run: its curves, its tables, and the mistakes of a cell.
(() => {
  const run = JSON.parse(document.getElementById("data").textContent);
  const curves = document.getElementById("curves");
  const charts = new Map();

  function chart(title) {
    if (!charts.has(title)) charts.set(title, new Chart(curves, title));
    return charts.get(title);
  }

  function drawCurves(run) {
    const marks = [];
    if (run.best !== null) marks.push({ epoch: run.best, text: `best ${run.monitor}: epoch ${run.best}` });
    for (const name of metricNames([run])) {
      const series = [["training", name, false], ["validation", `val_${name}`, true]]
        .filter(([, metric]) => run.metrics[metric] && run.metrics[metric].some(value => value !== null))
        .map(([label, metric, isValidation], color) =>
          ({ label, epochs: run.epochs, values: run.metrics[metric], color, isValidation }));
      chart(titled(name)).show(series, marks);
    }
    if (new Set(run.learning_rate).size > 1) {
      const rates = { label: "learning rate", epochs: run.epochs, values: run.learning_rate, color: 2 };
      chart("Learning rate").show([rates], []);
    }
  }

  globalThis.drawCurves = drawCurves;

  function pickMistakes() {
    const list = document.querySelector(".mistakes");
    if (!list) return;
    const items = [...list.children], first = Number(list.dataset.first);
    const shown = document.getElementById("shown"), all = document.getElementById("all");
    const cells = [...document.querySelectorAll("button[data-cell]")];
    shown.parentElement.hidden = false;
    const show = (isShown, words) => {
      items.forEach((item, index) => { item.hidden = !isShown(item, index); });
      const count = items.filter(item => !item.hidden).length;
      shown.textContent = count === items.length ? "" : words(count);
      all.hidden = count === items.length;
    };
    const press = cell => cells.forEach(button =>
      button.setAttribute("aria-pressed", String(button.dataset.cell === cell)));
    press(null);
    show((item, index) => index < first, count => `The first ${count} are shown.`);
    all.addEventListener("click", () => { press(null); show(() => true); });
    for (const button of cells) {
      button.addEventListener("click", () => {
        const { cell } = button.dataset, name = button.getAttribute("aria-label");
        press(cell);
        show(item => item.dataset.cell === cell, count => `${name}${count ? "" : ", none of them on this page"}.`);
        document.getElementById("mistakes").scrollIntoView();
      });
    }
  }

  if (curves) drawCurves(run);
  for (const table of document.querySelectorAll("table.sortable")) {
    const sort = makeSortable(table);
    if (table.closest("#history")) globalThis.sortHistory = sort;
  }
  pickMistakes();
})();

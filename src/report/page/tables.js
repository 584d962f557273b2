// Tables that sort by the column whose head is pressed. Empty cells come last, in either direction.
function cellValue(row, column) {
  const cell = row.cells[column];
  const raw = cell.dataset.value ?? cell.textContent.trim();
  return { raw, number: raw === "" ? NaN : Number(raw) };
}

// Returns a function that sorts again, for rows that have changed since.
function makeSortable(table) {
  let sorted = null;
  const heads = [...table.tHead.rows[0].cells];
  const sort = () => {
    if (!sorted) return;
    const { column, direction } = sorted, body = table.tBodies[0];
    const rows = [...body.rows].map(row => ({ row, ...cellValue(row, column) }));
    const isNumeric = rows.every(({ raw, number }) => raw === "" || !Number.isNaN(number));
    rows.sort((one, other) => {
      if (one.raw === "" || other.raw === "") return (one.raw === "") - (other.raw === "");
      const order = isNumeric ? one.number - other.number : one.raw.localeCompare(other.raw, "en", { numeric: true });
      return direction * order;
    });
    if (rows.some(({ row }, index) => body.rows[index] !== row)) body.append(...rows.map(({ row }) => row));
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const direction = sorted && sorted.column === column ? -sorted.direction : 1;
      sorted = { column, direction };
      heads.forEach(other => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      sort();
    });
  });
  return sort;
}

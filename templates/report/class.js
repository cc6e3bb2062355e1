// Sorting and filtering for the class page. It moves and hides what is there and writes no markup.
(() => {
  "use strict";
  const value = (row, column) => {
    const cell = row.cells[column], number = cell.dataset.value;
    return number === undefined ? cell.textContent.trim().toLowerCase() : Number(number);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const numbers = body.rows.length && typeof value(body.rows[0], column) === "number";
        const now = head.getAttribute("aria-sort");
        const order = now ? (now === "ascending" ? "descending" : "ascending") : numbers ? "descending" : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        const keyed = [...body.rows].map((row) => [value(row, column), row]);
        keyed.sort((a, b) => (order === "ascending" ? 1 : -1) * compare(a[0], b[0]));
        body.append(...keyed.map((pair) => pair[1]));
      });
    });
  }

  for (const controls of document.querySelectorAll(".controls")) {
    const rows = [...controls.parentElement.querySelector("table").tBodies[0].rows];
    const [search, state, output] = ["input", "select", "output"].map((tag) => controls.querySelector(tag));
    const names = rows.map((row) => row.cells[0].textContent.toLowerCase());
    const filter = () => {
      const wanted = search.value.trim().toLowerCase();
      let shown = 0;
      rows.forEach((row, i) => {
        row.hidden = !names[i].includes(wanted) || (state.value !== "" && row.dataset.state !== state.value);
        shown += row.hidden ? 0 : 1;
      });
      output.textContent = shown === rows.length ? "" : `${shown} of ${rows.length}`;
    };
    controls.addEventListener("input", filter);
    controls.hidden = false;
    filter();
  }
})();

// Sorts and filters the table of actions. Without it the page is complete, in the order of verdicts.
(function () {
  "use strict";
  const table = document.getElementById("actions");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const form = document.getElementById("filters");
  const search = document.getElementById("search");
  const boxes = Array.from(form.querySelectorAll("input[type=checkbox]"));
  const told = document.getElementById("shown");

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let shown = 0;
    rows.forEach((row, at) => {
      const fits = wanted.has(row.dataset.verdict) && words.every((word) => texts[at].includes(word));
      row.hidden = !fits;
      if (fits) shown += 1;
    });
    told.textContent = shown + " of " + rows.length + " actions are shown.";
  }

  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  boxes.forEach((box) => box.addEventListener("change", filter));
  form.addEventListener("reset", () => setTimeout(filter, 0));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;

  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const by = head.dataset.sort;
    if (!by) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.textContent = "";
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => {
        const cell = row.cells[column];
        return by === "key" ? cell.dataset.key : cell.textContent.trim().toLowerCase();
      };
      const keyed = Array.from(body.rows).map((row) => [value(row), row]);
      keyed.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0) * (down ? -1 : 1));
      body.append(...keyed.map(([, row]) => row));
    });
  });

  // A sampled action is found although its details are folded or it is filtered away.
  function open() {
    const row = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!row || row.parentNode !== body) return;
    row.hidden = false;
    row.querySelector("details").open = true;
  }
  addEventListener("hashchange", open);
  open();
})();

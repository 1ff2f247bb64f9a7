// What a pointer can do on the page; everything it shows is in the page without it as well.
"use strict";
(() => {
  const make = (tag, kind, text) => {
    const element = document.createElement(tag);
    if (kind) element.className = kind;
    if (text) element.textContent = text;
    return element;
  };
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const root = document.documentElement;

  // --- light, dark, or as the system says
  const themes = ["auto", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("tunewell-theme"); } catch { return null; } };
  const button = make("button", "theme");
  const setTheme = (theme) => {
    if (theme === "auto") delete root.dataset.theme; else root.dataset.theme = theme;
    button.textContent = `Theme: ${theme}`;
    button.value = theme;
    try { localStorage.setItem("tunewell-theme", theme); } catch { /* private windows */ }
  };
  button.onclick = () => setTheme(themes[(themes.indexOf(button.value) + 1) % themes.length]);
  document.querySelector("header").append(button);
  setTheme(root.dataset.theme || (themes.includes(stored()) ? stored() : "auto"));

  // --- copying
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not allowed: the old way */ }
    const area = make("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  const copyButton = (label, text) => {
    const one = make("button", "", "Copy");
    one.setAttribute("aria-label", `Copy ${label}`);
    one.onclick = async () => {
      one.textContent = (await copy(text())) ? "Copied" : "Select the text to copy it";
      setTimeout(() => { one.textContent = "Copy"; }, 1600);
    };
    return one;
  };
  for (const block of all(".code[data-copy]"))
    block.append(copyButton(block.dataset.copy, () => block.querySelector("code").textContent));
  for (const row of all("tr[data-source]")) {
    const cell = make("td");
    cell.append(copyButton(row.dataset.copy, () => row.dataset.source));
    row.cells[0].after(cell);
  }
  for (const head of all("table.front thead tr")) head.cells[0].after(make("th"));

  // --- sorting and filtering tables
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    const text = cell.dataset.v ?? cell.textContent.replaceAll(",", "").replaceAll("−", "-").trim();
    if (text === "" || text === "–" || text === "·" || text === "NaN") return null;
    if (text === "∞") return Infinity;
    if (text === "-∞") return -Infinity;
    const number = Number(text);
    return Number.isNaN(number) ? text.toLowerCase() : number;
  };
  const compare = (a, b) => {
    if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
    return typeof a === "number" ? -1 : 1;
  };
  const sort = (table, column, head) => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    const rows = [...table.tBodies[0].rows].map((row) => [keyOf(row, column), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null); // what is missing stays last
      return up ? compare(a, b) : compare(b, a);
    });
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    table.tBodies[0].append(...rows.map(([, row]) => row));
  };
  for (const table of all("table.grid")) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      head.dataset.sortable = "";
      head.title = "Sort";
      head.tabIndex = 0;
      head.onclick = () => sort(table, column, head);
      head.onkeydown = (event) => { if (event.key === "Enter") sort(table, column, head); };
    });
  }
  for (const table of all("table.trials")) {
    const tools = make("div", "tools");
    const field = make("input");
    const said = make("span", "remark");
    field.type = "search";
    field.placeholder = "Filter: a status, a reason, a value";
    field.setAttribute("aria-label", "Filter trials");
    said.setAttribute("role", "status");
    field.oninput = () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let kept = 0;
      for (const row of table.tBodies[0].rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        kept += !row.hidden;
      }
      said.textContent = words.length ? `${kept} of ${table.tBodies[0].rows.length}` : "";
    };
    tools.append(field, said);
    table.closest(".scroll").before(tools);
  }

  // --- legends that hide statuses
  for (const item of all(".legend [data-status]")) {
    const plot = item.closest(".plot");
    const toggle = () => {
      const on = item.getAttribute("aria-pressed") !== "true";
      item.setAttribute("aria-pressed", on);
      for (const part of all(`svg.frame [data-status="${item.dataset.status}"]`, plot)) part.classList.toggle("off", !on);
      indexes.delete(plot);
    };
    item.setAttribute("role", "button");
    item.setAttribute("aria-pressed", "true");
    item.tabIndex = 0;
    item.onclick = toggle;
    item.onkeydown = (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); toggle(); }
    };
  }

  // --- what lies under the pointer, in every chart at once
  const tips = JSON.parse(document.getElementById("tips").textContent);
  const indexes = new Map(); // chart -> its points {n, x, y, w, down}, x and y in 0..1 of the frame
  const GRAIN = 2000;
  const numbersOf = (part) => part.dataset.n.split(" ").map(Number);
  const marksOf = (group) => {
    const numbers = numbersOf(group);
    const rail = group.closest(".rail");
    const down = rail ? Number(rail.getAttribute("transform").match(/ (-?\d+)\)/)[1]) : 0;
    return [...group.children].map((use, k) => ({
      n: numbers[k], x: parseFloat(use.getAttribute("x")) / 100, y: parseFloat(use.getAttribute("y")) / 100, w: 0, down,
    }));
  };
  const pathOf = (path) => {
    const numbers = numbersOf(path);
    let before = null;
    return path.getAttribute("d").split(/(?=[ML])/).map((part, k) => {
      const [x, y, w] = part.slice(1).split(/[ h]/).map((number) => Number(number) / GRAIN);
      const point = { n: numbers.length > 1 ? numbers[k] : numbers[0], x, y, w: w || 0, down: 0 };
      if (part[0] === "L") point.before = before; // the line to here can be pointed at as well
      before = point;
      return point;
    });
  };
  const indexOf = (plot) => {
    if (!indexes.has(plot)) {
      indexes.set(plot, all("svg.frame [data-n]:not(.off)", plot).flatMap(
        (part) => (part.tagName === "g" ? marksOf(part) : pathOf(part))));
    }
    return indexes.get(plot);
  };
  const nearest = (plot, box, event) => {
    let best = null, least = 26 * 26;
    const px = event.clientX - box.left, py = event.clientY - box.top;
    for (const point of indexOf(plot)) {
      let x = point.x * box.width, y = point.y * box.height + point.down;
      if (point.w) x = Math.min(Math.max(px, x), x + point.w * box.width);
      if (point.before) { // the nearest place on the line from the point before
        const ax = point.before.x * box.width, ay = point.before.y * box.height;
        const along = ((px - ax) * (x - ax) + (py - ay) * (y - ay)) / ((x - ax) ** 2 + (y - ay) ** 2 || 1);
        const share = Math.min(1, Math.max(0, along));
        x = ax + share * (x - ax);
        y = ay + share * (y - ay);
      }
      const distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance < least) { least = distance; best = point; }
    }
    return best;
  };
  const tip = make("div", "tip");
  tip.hidden = true;
  tip.setAttribute("role", "status");
  document.body.append(tip);
  let lit = null;
  const dark = () => {
    lit = null;
    tip.hidden = true;
    for (const one of all(".hot-ring, .line.hot, tr.lit"))
      if (one.tagName === "TR") one.classList.remove("lit"); else one.remove();
  };
  const svg = (tag, attributes) => {
    const element = document.createElementNS(document.querySelector("svg").namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const light = (n) => {
    dark();
    lit = n;
    for (const plot of all(".plot")) {
      const frame = plot.querySelector("svg.frame");
      for (const path of all(`.line[data-n="${n}"]:not(.off)`, frame)) {
        const copied = path.cloneNode();
        copied.removeAttribute("data-n");
        copied.classList.add("hot");
        path.parentNode.append(copied);
      }
      if (plot.matches(".parallel, .lanes")) continue;
      const points = indexOf(plot).filter((point) => point.n === n);
      for (const point of plot.querySelector(`.line[data-n="${n}"]`) ? points.slice(-1) : points)
        frame.append(svg("circle", { class: "hot-ring", r: 7.5, cx: `${point.x * 100}%`, cy: `${point.y * 100}%`,
                                     transform: `translate(0 ${point.down})` }));
    }
    document.getElementById(`t${n}`)?.classList.add("lit");
    const [name, status, measured, reason, ...params] = tips[n] ?? [`Trial ${n}`, "", "", ""];
    tip.replaceChildren(make("b", "", [name, status].filter(Boolean).join(", ")));
    for (const text of [measured, reason].filter(Boolean)) tip.append(make("div", "", text));
    if (params.length) tip.append(make("p", "", params.join(", ")));
  };
  const place = (event) => {
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const x = event.clientX + 16 + width > innerWidth ? event.clientX - 16 - width : event.clientX + 16;
    const y = event.clientY + 16 + height > innerHeight ? event.clientY - 12 - height : event.clientY + 16;
    tip.style.left = `${Math.max(4, x)}px`;
    tip.style.top = `${Math.max(4, y)}px`;
  };
  for (const plot of all(".plot")) {
    const frame = plot.querySelector("svg.frame");
    plot.addEventListener("pointermove", (event) => {
      const point = nearest(plot, frame.getBoundingClientRect(), event);
      if (!point) { if (lit !== null) dark(); return; }
      if (point.n !== lit) light(point.n);
      place(event);
    });
    plot.addEventListener("pointerleave", dark);
    frame.addEventListener("click", () => {
      if (lit !== null && document.getElementById(`t${lit}`)) location.hash = `t${lit}`;
    });
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") dark(); });

  root.dataset.ready = "yes";
})();

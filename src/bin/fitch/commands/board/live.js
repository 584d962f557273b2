// The page of a run in progress: every second it is asked for again, and what differs is shown.
(() => {
  const again = async () => {
    setTimeout(again, 1000);
    if (document.hidden) return;
    const response = await fetch(location.href).catch(() => null);
    if (!response || !response.ok) return;
    const now = new DOMParser().parseFromString(await response.text(), "text/html");
    const sections = page => [...page.querySelectorAll("main > section")].map(section => section.id).join();
    const data = now.getElementById("data").textContent, old = document.getElementById("data");
    // It has ended, or has its first epoch.
    if (sections(now) !== sections(document)) return location.reload();
    if (data === old.textContent) return;
    old.textContent = data;
    for (const id of ["summary", "history"]) {
      const section = document.getElementById(id);
      if (section) section.replaceChildren(...now.getElementById(id).childNodes);
    }
    document.querySelectorAll("#history table").forEach(table => makeSortable(table));
    drawCurves(JSON.parse(data));
  };
  setTimeout(again, 1000);
})();

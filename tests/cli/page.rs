//! The page of a run: as a file, and as a browser shows it.

use crate::browser::browser;
use crate::place::{Place, wait_until};
use std::fs;
use std::process::Stdio;

/// Names that would break out of a script, a tag or an attribute.
const NAMES: [&str; 3] = ["</script><b>", "\"x' onload=&", "plain"];

/// A run on rows of those classes that nobody could tell apart.
fn run_with_hostile_names(place: &Place) {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let rows = (0..90).map(|row| {
        let pixels: Vec<String> = (0..4).map(|pixel| ((row * 37 + pixel * 101) % 256).to_string()).collect();
        format!("{},{}\n", quoted(NAMES[row % 3]), pixels.join(","))
    });
    let table = "label,pixel0,pixel1,pixel2,pixel3\n".to_string() + &rows.collect::<String>();
    place.write(".", "<i>.csv", table.as_bytes());
    place.train_quickly("r<b>&\"", &["--dataset", "<i>.csv", "--test-split", "0.3"]).well();
}

#[test]
fn the_page_is_whole_deterministic_and_text_stays_text() {
    let place = Place::new();
    run_with_hostile_names(&place);
    let page = place.read("r<b>&\"/report.html");
    let said = place.run(&["report", "r<b>&\"", "--to", "page.html"]).well().stdout;
    assert_eq!(said, "written to page.html\n");
    assert!(place.read("page.html") == page, "the page differs when it is made again");
    assert!(page.len() < 300_000, "{}", page.len());
    for part in [
        "<title>r&lt;b&gt;&amp;&quot;</title>",
        "&lt;/script&gt;&lt;b&gt;",
        "&quot;x&#39; onload=&amp;",
        "data:image/png;base64,",
        "/&lt;i&gt;.csv</td>",
        "<th scope=\"row\">libtorch</th>",
        "Total params",
    ] {
        assert!(page.contains(part), "no {part}");
    }
    assert!(!page.contains("</script><b>") && !page.contains("\"x' onload"));
    // Only what names the language of drawings has an address.
    let addresses: Vec<&str> = page.split("http").skip(1).map(|rest| &rest[..rest.len().min(22)]).collect();
    assert_eq!(addresses, ["://www.w3.org/2000/svg"]);
    place
        .run(&["report", "r<b>&\"", "--to", "nowhere/page.html"])
        .with_fault(1, &["cannot write nowhere/page.html"]);
}

#[test]
fn a_browser_shows_curves_sorts_the_history_and_picks_the_mistakes_of_a_cell() {
    let Some(browser) = browser("a_browser_shows_curves_sorts_the_history") else { return };
    let place = Place::new();
    run_with_hostile_names(&place);
    // What a reader does, and what there is to see then.
    let deeds = r##"<script>
        const cell = document.querySelector("td.wrong button");
        cell.click();
        const shown = [...document.querySelectorAll(".mistakes li")].filter(item => !item.hidden);
        const head = [...document.querySelectorAll("#epochs th")].find(head => /^epoch/.test(head.textContent));
        head.querySelector("button").click();
        head.querySelector("button").click();
        const plot = document.querySelector(".plot");
        plot.dispatchEvent(new KeyboardEvent("keydown", { key: "Home" }));
        document.body.append(Object.assign(document.createElement("output"), { textContent: JSON.stringify({
            count: Number(cell.textContent), shown: shown.length, pressed: cell.getAttribute("aria-pressed"),
            cells: new Set(shown.map(item => item.dataset.cell)).size,
            sort: head.getAttribute("aria-sort"), first: document.querySelector("#epochs tbody th").textContent,
            curves: document.querySelectorAll(".plot path.curve").length, words: plot.getAttribute("aria-valuetext"),
            tip: document.querySelector(".tip").textContent, elements: document.querySelectorAll("b").length,
            names: [...document.querySelectorAll(".confusion tbody th")].map(name => name.textContent),
            overflow: document.documentElement.scrollWidth > innerWidth,
        }) }));
    </script></html>"##;
    let page = place.read("r<b>&\"/report.html").replace("</html>", deeds);
    fs::write(place.path("page.html"), page).unwrap();
    let page = browser.open(&format!("file://{}", place.path("page.html").display()), 2_000);
    assert!(page.console.is_empty(), "{:?}", page.console);
    let told = page.html.split("<output>").nth(1).unwrap().split("</output>").next().unwrap();
    let told = told.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert!(told["count"].as_u64().unwrap() > 0 && told["count"] == told["shown"], "{told}");
    assert_eq!((&told["cells"], &told["pressed"]), (&1.into(), &"true".into()));
    assert_eq!(told["sort"], "descending");
    assert!(told["first"].as_str().unwrap().starts_with('3'), "{told}");
    assert_eq!(told["curves"], 4);
    let words = told["words"].as_str().unwrap();
    assert!(words.starts_with("epoch 1: training ") && words.contains(", validation "), "{words}");
    assert!(told["tip"].as_str().unwrap().starts_with("epoch 1"), "{told}");
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    let mut found: Vec<&str> =
        told["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, names);
    assert_eq!(told["overflow"], false);
}

#[test]
fn without_the_images_the_page_has_what_the_folder_knows() {
    let place = Place::new();
    run_with_hostile_names(&place);
    fs::rename(place.path("<i>.csv"), place.path("moved.csv")).unwrap();
    let mistakes = "row,true,predicted,probability\n7,plain,</script><b>,0.875\n";
    place.write("r<b>&\"", "mistakes.csv", mistakes.as_bytes());
    let said = place.run(&["report", "r<b>&\"", "--to", "page.html"]).well();
    assert!(said.stderr.contains("--dataset PATH says where they are now"), "{said:?}");
    let page = place.read("page.html");
    let mistake =
        "<b>plain</b> predicted as <b>&lt;/script&gt;&lt;b&gt;</b></span><small>87.5 % sure, row 7</small>";
    assert!(
        page.contains(mistake) && page.contains("class=\"wrong\"") && !page.contains("data:image"),
        "{page}"
    );
    place.write("r<b>&\"", "mistakes.csv", b"row,true,predicted,probability\n7,plain,other,0.875\n");
    let refused = place.run(&["report", "r<b>&\"", "--to", "page.html"]);
    refused.with_fault(1, &["mistakes.csv", "the run has no class other"]);
    // With the images, from where they are now.
    place.run(&["report", "r<b>&\"", "--to", "page.html", "--dataset", "moved.csv"]).well();
    assert!(place.read("page.html").contains("data:image"));
}

#[test]
fn the_page_of_a_run_in_progress_says_so_and_its_folder_stays_as_it_is() {
    let place = Place::new();
    let endless = ["train", "--threads", "1", "--epochs", "1000000", "--no-early-stopping", "--out", "run"];
    let mut child = place.command(&endless).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let epochs = || fs::read_to_string(place.path("run/history.csv")).map_or(0, |text| text.lines().count());
    wait_until("epoch", || epochs() > 2);
    place.run(&["report", "run", "--to", "page.html"]).well();
    child.kill().unwrap();
    child.wait().unwrap();
    let page = place.read("page.html");
    assert!(page.contains("Training has not ended; ") && page.contains("id=\"epochs\""), "{page}");
    assert!(!page.contains("id=\"mistakes\"") && !place.path("run/report.html").exists());
}

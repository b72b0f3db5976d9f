//! Pages of the documentation: what stands between two markers is made from `docs/results/NAME.json`.
//!
//! ```text
//! <!-- evidence:NAME:TABLE -->
//!
//! | | all |
//! …
//!
//! <!-- end -->
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use super::super::gpu;
use super::kept::Kept;
use crate::cargo::root;

const OPENING: &str = "<!-- evidence:";
const CLOSING: &str = "<!-- end -->";

/// A page with every block replaced that `render` gives a text for, by the names of experiment and table.
fn renewed(text: &str, render: &mut dyn FnMut(&str, &str) -> anyhow::Result<Option<String>>) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, marker)) = rest.split_once(OPENING) {
        let (names, behind) = marker.split_once(" -->").context("a marker has no `-->`")?;
        let names_of = || names.split_once(':').filter(|_| !names.contains('\n'));
        let (name, table) = names_of().with_context(|| format!("`{OPENING}{names}` is not evidence:NAME:TABLE"))?;
        let (content, after) =
            behind.split_once(CLOSING).with_context(|| format!("evidence:{names} has no `{CLOSING}`"))?;
        ensure!(!content.contains(OPENING), "evidence:{names} has no `{CLOSING}` before the next marker");
        let content = match render(name, table).with_context(|| format!("evidence:{names}"))? {
            Some(block) => format!("\n\n{block}\n\n"),
            None => content.to_owned(),
        };
        out.extend([before, OPENING, names, " -->", &content, CLOSING]);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Writes the blocks of an experiment anew in every page; the pages that changed.
pub(super) fn renew(kept: &Kept) -> anyhow::Result<Vec<String>> {
    let mut changed = Vec::new();
    for page in Page::all()? {
        let text = page.renewed(&mut |name, table| {
            if name != kept.name {
                return Ok(None);
            }
            kept.block(table).map(Some).context("the experiment has no such table")
        })?;
        if text != page.text {
            fs::write(&page.path, text).with_context(|| format!("cannot write {}", page.name))?;
            changed.push(page.name);
        }
    }
    Ok(changed)
}

/// Fails if a block of a page is not what is kept, if a marker names what does not exist, or if a kept table is on no page.
/// How many blocks were compared.
pub(super) fn check(names: &[&str]) -> anyhow::Result<usize> {
    let mut kept = Vec::new();
    for name in names {
        kept.extend(Kept::read(name)?);
    }
    for file in kept_files()? {
        ensure!(names.contains(&file.as_str()), "docs/results/{file}.json: there is no experiment `{file}`");
    }
    let mut missing: Vec<(&str, &str)> =
        kept.iter().flat_map(|one| one.blocks().into_iter().map(|block| (one.name.as_str(), block))).collect();
    let mut compared = 0;
    for page in Page::all()? {
        let text = page.renewed(&mut |name, table| {
            ensure!(names.contains(&name), "there is no experiment `{name}`");
            // What is not kept yet stays as it is.
            let Some(kept) = kept.iter().find(|kept| kept.name == name) else { return Ok(None) };
            missing.retain(|missing| *missing != (name, table));
            compared += 1;
            kept.block(table).map(Some).context("there is no such table in the kept JSON")
        })?;
        if let Some((now, then)) = page.text.lines().zip(text.lines()).find(|(now, then)| now != then) {
            bail!(
                "{}: `{now}` is not what the JSON says, `{then}`; cargo xtask evidence --pages writes the tables anew",
                page.name
            );
        }
        ensure!(page.text == text, "{}: a table has other lines than the JSON", page.name);
    }
    if let Some((name, table)) = missing.first() {
        bail!("docs/results/{name}.json: no page has `{OPENING}{name}:{table} -->`");
    }
    Ok(compared)
}

/// Names of the JSON files beside the results.
fn kept_files() -> anyhow::Result<Vec<String>> {
    let folder = root().join("docs/results");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "json") && name != gpu::JSON {
            names.push(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// A page of the documentation.
struct Page {
    path: PathBuf,
    /// Its path from the workspace's root.
    name: String,
    text: String,
}

impl Page {
    /// The pages that have markers.
    fn all() -> anyhow::Result<Vec<Page>> {
        let mut pages = Vec::new();
        collect(&root().join("docs"), &mut pages)?;
        pages.retain(|page| page.text.contains(OPENING));
        pages.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pages)
    }

    fn renewed(&self, render: &mut dyn FnMut(&str, &str) -> anyhow::Result<Option<String>>) -> anyhow::Result<String> {
        renewed(&self.text, render).with_context(|| self.name.clone())
    }
}

fn collect(folder: &Path, pages: &mut Vec<Page>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
            pages.push(Page { path, name, text });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::kept::tests::example;
    use super::*;

    const PAGE: &str =
        "# A\n\n<!-- evidence:a:one -->\nold\n<!-- end -->\n\ntext\n<!-- evidence:b:two --><!-- end -->\nend\n";

    fn only(of: &'static str) -> impl FnMut(&str, &str) -> anyhow::Result<Option<String>> {
        move |name, table| Ok((name == of).then(|| format!("new {table}")))
    }

    #[test]
    fn blocks_are_renewed_once_and_the_rest_stays() {
        let first = renewed(PAGE, &mut only("a")).unwrap();
        assert_eq!(first, PAGE.replace("\nold\n", "\n\nnew one\n\n"));
        assert_eq!(renewed(&first, &mut only("a")).unwrap(), first);
        let second = renewed(&first, &mut only("b")).unwrap();
        assert!(second.contains("two -->\n\nnew two\n\n<!-- end -->\nend\n"), "{second}");
        assert_eq!(renewed(PAGE, &mut only("c")).unwrap(), PAGE);
        let fail = renewed(PAGE, &mut |_, _| bail!("no")).unwrap_err();
        assert_eq!(format!("{fail:#}"), "evidence:a:one: no");
    }

    #[test]
    fn wrong_markers_are_named() {
        for (page, says) in [
            ("<!-- evidence:a:b", "has no `-->`"),
            ("<!-- evidence:a -->x<!-- end -->", "is not evidence:NAME:TABLE"),
            ("<!-- evidence:a:b -->x", "evidence:a:b has no `<!-- end -->`"),
            ("<!-- evidence:a:b -->x<!-- evidence:a:c --><!-- end -->", "before the next marker"),
        ] {
            let error = renewed(page, &mut only("a")).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn every_block_of_a_kept_experiment_can_stand_in_a_page() {
        let kept = example();
        let page: String =
            kept.blocks().iter().map(|block| format!("<!-- evidence:example:{block} -->\n<!-- end -->\n")).collect();
        let mut render = |_: &str, table: &str| Ok(kept.block(table));
        let once = renewed(&page, &mut render).unwrap();
        assert_eq!(renewed(&once, &mut render).unwrap(), once);
        // A number that somebody changes by hand is found.
        let changed = once.replace("3.5135", "3.5134");
        assert_ne!(renewed(&changed, &mut render).unwrap(), changed);
    }

    /// The pages of this repository, without running anything.
    #[test]
    fn tables_and_kept_numbers_agree() {
        check(&super::super::experiments::names()).unwrap();
    }
}

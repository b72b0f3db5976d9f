//! `sfumato report`

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use sfumato_files::{check_writable, read_text, write_atomically};

use crate::{
    args::ReportArgs,
    report::{self, PictureCache},
};

pub(crate) fn run(args: &ReportArgs) -> Result<()> {
    let runs = args.runs.iter().map(|path| located(path)).collect::<Result<Vec<_>>>()?;
    let out = match (&args.out, &runs[..]) {
        (Some(out), _) => out.clone(),
        (None, [run]) => ours(run.join(report::FILE))?,
        (None, _) => ours(PathBuf::from(report::FILE))?,
    };
    check_writable(&out)?; // before the work
    let page = report::page(&runs, &mut PictureCache::default());
    write_atomically(&out, page.as_bytes())?;
    out!("{}", out.display())
}

fn located(path: &Path) -> Result<PathBuf> {
    report::locate(path).ok_or_else(|| match path.exists() {
        true => anyhow!("{} is no run: there is no config.toml and no metrics.jsonl in it", path.display()),
        false => anyhow!("{} does not exist; name the directory of a run, such as runs/NAME", path.display()),
    })
}

/// The path, unless a file of another program stands there, which is left as it is.
fn ours(path: PathBuf) -> Result<PathBuf> {
    if path.exists() && !read_text(&path).is_ok_and(|text| report::is_ours(&text)) {
        bail!("{} is no page of sfumato; name another file with --out, or this one to replace it", path.display());
    }
    Ok(path)
}

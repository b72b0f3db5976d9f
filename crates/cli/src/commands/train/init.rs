//! A run that starts from a trained model: which, and what is said of it.

use anyhow::{Context, Result};
use sfumato_data::Dataset;
use sfumato_kernels::Backend;
use sfumato_model::params::Transfer;
use sfumato_train::{Source, TrainConfig, config::InitConfig};

use crate::{args::TrainArgs, loaded};

/// Names shown of a list that may be long.
const SHOWN: usize = 4;

/// The model to start from: that of the flag, else of `--set`, else of the file.
pub(super) fn open(args: &TrainArgs, overrides: &[(Vec<String>, toml::Value)]) -> Result<Option<Source>> {
    let Some(init) = asked(args, overrides)? else { return Ok(None) };
    let context = || format!("cannot start from {}", init.from.display());
    let model = loaded::open_model(&init.from).with_context(context)?;
    Ok(Some(Source::of(model)?.checked(&init)?))
}

fn asked(args: &TrainArgs, overrides: &[(Vec<String>, toml::Value)]) -> Result<Option<InitConfig>> {
    if let Some(from) = &args.init_from {
        // Whatever it is now: the checksum of a file is that of the file's own model.
        return Ok(Some(InitConfig { from: from.clone(), sha256: None }));
    }
    // What else is said may need the network of the source.
    let own: Vec<_> =
        overrides.iter().filter(|(path, _)| path.first().is_some_and(|key| key == "init")).cloned().collect();
    let names_another = own.iter().any(|(path, value)| match &path[1..] {
        [] => value.get("from").is_some(),
        [key] => key == "from",
        _ => false,
    });
    // What is wrong with the file is said where all of it is read.
    let file = args.config.as_ref().and_then(|path| sfumato_files::read_text(path).ok()?.parse::<toml::Table>().ok());
    let file = file
        .and_then(|mut table| table.remove("init"))
        .filter(|init| !names_another && init.clone().try_into::<InitConfig>().is_ok());
    let base = file.map(|init| toml::Table::from_iter([("init".to_owned(), init)])).unwrap_or_default();
    Ok(TrainConfig::layered_on(base, None, None, &own)?.init)
}

/// Says what of the model is taken, and what the run does otherwise. Damaged weights are an error here, before anything is written.
pub(super) fn tell<B: Backend>(
    source: &Source,
    config: &TrainConfig,
    data: &dyn Dataset,
    device: &B::Device,
) -> Result<()> {
    let transfer = source.transfer_for::<B>(config, data, device)?;
    source.check_weights(&transfer)?;
    for line in lines(source, &transfer) {
        say!("{line}");
    }
    for difference in source.differences(config, data) {
        say!("note: {difference}");
    }
    Ok(())
}

fn lines(source: &Source, transfer: &Transfer) -> Vec<String> {
    let (dir, wanted) = (source.dir().display(), transfer.wanted());
    let (whole, in_part) = (transfer.whole.len(), transfer.in_part.len());
    let taken = match (whole == wanted, in_part) {
        (true, _) => format!("all {wanted} tensors are taken"),
        (false, 0) => format!("{whole} of {wanted} tensors are taken"),
        (false, _) => format!("{whole} of {wanted} tensors are taken, {in_part} more in part"),
    };
    let mut lines = vec![format!("init       {dir}: {taken}")];
    let why =
        |pairs: &[(String, String)]| pairs.iter().map(|(name, why)| format!("{name} ({why})")).collect::<Vec<_>>();
    let names =
        [("in part", why(&transfer.in_part)), ("new", why(&transfer.new)), ("left out", transfer.left_out.clone())];
    for (what, names) in names.iter().filter(|(_, names)| !names.is_empty()) {
        let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if names.len() > SHOWN { format!(", and {} more", names.len() - SHOWN) } else { String::new() };
        lines.push(format!("           {} {what}: {shown}{more}", names.len()));
    }
    lines
}

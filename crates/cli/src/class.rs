//! A class of a model as people call it: by its number or by its name.

use anyhow::{Result, bail};
use sfumato_model::pipeline::Pipeline;

/// Names that are listed in a message; a model can have thousands.
const LISTED: usize = 20;

/// The number of the class that `text` means, which may still be too large for the model.
///
/// A number is a number, even where a class is called so; `name:TEXT` is always a name.
///
/// # Errors
/// If it is neither a number nor the name of a class.
pub(crate) fn resolve(text: &str, model: &Pipeline) -> Result<usize> {
    let names = &model.spec.facts.class_names;
    let named = |name: &str| model.class_by_name(name);
    if let Some(name) = text.strip_prefix("name:") {
        return named(name).map_or_else(|| unknown(text, model), Ok);
    }
    match (text.parse::<usize>(), named(text)) {
        (Ok(number), Some(name)) if number < names.len() => {
            if number != name {
                say!(
                    "note: --class {text} is taken as a number: it is the class called {}; --class name:{text} is the one called {text}",
                    names[number]
                );
            }
            Ok(number)
        }
        (_, Some(name)) => Ok(name),
        (Ok(number), None) => Ok(number),
        (Err(_), None) => unknown(text, model),
    }
}

fn unknown(text: &str, model: &Pipeline) -> Result<usize> {
    let dir = model.dir().display();
    match list(&model.spec.facts.class_names) {
        Some(list) => bail!("--class {text}: the model in {dir} has no class of that name; it knows {list}"),
        None => {
            bail!("--class {text}: the model in {dir} does not know the names of its classes; give a number from 0 on")
        }
    }
}

/// The names of classes, the first few of many; none if there are none.
pub(crate) fn list(names: &[String]) -> Option<String> {
    let more = if names.len() > LISTED { format!(", … ({} in all)", names.len()) } else { String::new() };
    (!names.is_empty()).then(|| names[..names.len().min(LISTED)].join(", ") + &more)
}

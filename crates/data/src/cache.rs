//! Where downloads are kept.

use std::ffi::OsString;
use std::path::PathBuf;

use super::LoadOptions;

/// The folder for downloads: `cache_dir` of the options, else `SFUMATO_CACHE`, else `sfumato` below `XDG_CACHE_HOME`,
/// `HOME/.cache` or `LOCALAPPDATA`, whichever is set first. `None` if nothing is.
///
/// # Examples
/// ```
/// use sfumato_data::{LoadOptions, cache_dir};
///
/// let options = LoadOptions { cache_dir: Some("downloads".into()), ..LoadOptions::default() };
/// assert_eq!(cache_dir(&options).unwrap(), std::path::Path::new("downloads"));
/// ```
pub fn cache_dir(options: &LoadOptions) -> Option<PathBuf> {
    options.cache_dir.clone().or_else(|| from_environment(|name| std::env::var_os(name)))
}

fn from_environment(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG specification: a relative XDG_CACHE_HOME is invalid and ignored.
    path("SFUMATO_CACHE")
        .or_else(|| path("XDG_CACHE_HOME").filter(|dir| dir.is_absolute()).map(|dir| dir.join("sfumato")))
        .or_else(|| path("HOME").map(|home| home.join(".cache").join("sfumato")))
        .or_else(|| path("LOCALAPPDATA").map(|dir| dir.join("sfumato")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_environment_in_order_and_skips_empty_and_relative_values() {
        let at = |variables: &[(&str, &str)]| {
            let variables = variables.to_vec();
            from_environment(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        let all =
            [("SFUMATO_CACHE", "own"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/me"), ("LOCALAPPDATA", "local")];
        assert_eq!(at(&all), Some("own".into()));
        assert_eq!(at(&all[1..]), Some("/xdg/sfumato".into()));
        assert_eq!(at(&[("XDG_CACHE_HOME", "relative"), all[2]]), Some("/home/me/.cache/sfumato".into()));
        assert_eq!(at(&[("SFUMATO_CACHE", ""), all[3]]), Some(PathBuf::from("local").join("sfumato")));
        assert_eq!(at(&[]), None);
    }
}

//! Settings of CubeCL, which compiles, tunes and runs the kernels of accelerators.
//!
//! By itself it compiles all kernels anew in every run, keeps what tuning has found in the `target` folder of whatever Cargo project surrounds
//! the current folder, and spreads the work over up to 128 streams that do not share memory. Here both are kept in the user's cache folder, and
//! there is one stream. What a `cubecl.toml` of the current folder or CubeCL's own variables say goes first.

use std::{path::PathBuf, sync::Once};

use burn::cubecl::config::{CubeClRuntimeConfig, RuntimeConfig, cache::CacheConfig};
use sfumato_data::{LoadOptions, cache_dir};

/// The folder of kernels within the user's cache folder.
const KERNELS: &str = "kernels";

/// Sets everything, before the first device is opened; later calls change nothing.
///
/// # Panics
/// As CubeCL does, where there is a `cubecl.toml` that it cannot read.
pub(crate) fn settle() {
    static SETTLED: Once = Once::new();
    SETTLED.call_once(|| {
        CubeClRuntimeConfig::set(completed(CubeClRuntimeConfig::from_current_dir(), folder()).override_from_env());
    });
}

/// Where kernels are kept, if the user has a cache folder.
fn folder() -> Option<PathBuf> {
    cache_dir(&LoadOptions::default()).map(|dir| dir.join(KERNELS))
}

/// The folder for kernels where no run has left any yet.
pub(crate) fn empty_folder() -> Option<PathBuf> {
    folder().filter(|folder| folder.read_dir().map_or(true, |mut entries| entries.next().is_none()))
}

/// The settings with ours in the place of those that are CubeCL's defaults.
fn completed(mut config: CubeClRuntimeConfig, folder: Option<PathBuf>) -> CubeClRuntimeConfig {
    if let Some(folder) = folder {
        config.compilation.cache.get_or_insert_with(|| CacheConfig::File(folder.clone()));
        if matches!(config.autotune.cache, CacheConfig::Target) {
            config.autotune.cache = CacheConfig::File(folder);
        }
    }
    if config.streaming.max_streams == CubeClRuntimeConfig::default().streaming.max_streams {
        config.streaming.max_streams = 1;
    }
    config
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_left_open_is_kept_for_the_user_and_what_is_said_stays() {
        let ours = completed(CubeClRuntimeConfig::default(), Some("c".into()));
        assert!(matches!(&ours.compilation.cache, Some(CacheConfig::File(path)) if path == Path::new("c")));
        assert!(matches!(&ours.autotune.cache, CacheConfig::File(path) if path == Path::new("c")));
        assert_eq!(ours.streaming.max_streams, 1);
        let mut said = CubeClRuntimeConfig::default();
        said.compilation.cache = Some(CacheConfig::Local);
        said.autotune.cache = CacheConfig::Global;
        said.streaming.max_streams = 7;
        let kept = completed(said, Some("c".into()));
        assert!(matches!(kept.compilation.cache, Some(CacheConfig::Local)));
        assert!(matches!(kept.autotune.cache, CacheConfig::Global));
        assert_eq!(kept.streaming.max_streams, 7);
        // Nowhere to keep it: CubeCL's own way.
        assert!(completed(CubeClRuntimeConfig::default(), None).compilation.cache.is_none());
    }
}

//! A file system, from one directory on: names, bytes, and what of them is synced.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// A file system, from one directory on.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) root: PathBuf,
    /// All there ever was: a number stays that of its thing. The first is the root.
    pub(super) nodes: Vec<Node>,
    pub(super) open: HashMap<u64, Open>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir(BTreeMap<String, usize>),
    File { bytes: Vec<u8>, synced: Vec<u8> },
    Link(PathBuf),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Open {
    pub(super) node: usize,
    pub(super) position: u64,
    pub(super) append: bool,
}

impl Disk {
    /// The directory as it is now, all of it synced.
    pub(super) fn load(root: &Path) -> anyhow::Result<Self> {
        let mut disk = Self { root: root.to_owned(), nodes: vec![Node::Dir(BTreeMap::new())], open: HashMap::new() };
        disk.load_dir(root, 0)?;
        Ok(disk)
    }

    fn load_dir(&mut self, dir: &Path, node: usize) -> anyhow::Result<()> {
        let read = |path: &Path| format!("cannot read {}", path.display());
        for entry in fs::read_dir(dir).with_context(|| read(dir))? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let loaded = if kind.is_dir() {
                Node::Dir(BTreeMap::new())
            } else if kind.is_symlink() {
                Node::Link(fs::read_link(&path)?)
            } else {
                let bytes = fs::read(&path).with_context(|| read(&path))?;
                Node::File { synced: bytes.clone(), bytes }
            };
            let child = self.add(loaded);
            self.entries(node)?.insert(entry.file_name().to_string_lossy().into_owned(), child);
            if kind.is_dir() {
                self.load_dir(&path, child)?;
            }
        }
        Ok(())
    }

    pub(super) fn add(&mut self, node: Node) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    pub(super) fn entries(&mut self, node: usize) -> anyhow::Result<&mut BTreeMap<String, usize>> {
        match &mut self.nodes[node] {
            Node::Dir(entries) => Ok(entries),
            _ => bail!("a path leads through something that is no directory"),
        }
    }

    /// The directory that holds `path`, and its name there; none outside of the root.
    pub(super) fn place(&self, path: &Path) -> Option<(usize, String)> {
        let inner = path.strip_prefix(&self.root).ok()?;
        let name = inner.file_name()?.to_string_lossy().into_owned();
        Some((self.find(path.parent()?)?, name))
    }

    /// What `path` leads to; links are followed below the root.
    pub(super) fn find(&self, path: &Path) -> Option<usize> {
        let mut node = 0;
        let mut at = self.root.clone();
        for component in path.strip_prefix(&self.root).ok()? {
            let Node::Dir(entries) = &self.nodes[node] else { return None };
            node = *entries.get(&*component.to_string_lossy())?;
            if let Node::Link(target) = &self.nodes[node] {
                node = self.find(&at.join(target))?;
            }
            at.push(component);
        }
        Some(node)
    }
}

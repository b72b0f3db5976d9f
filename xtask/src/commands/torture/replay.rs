//! What an event does to a disk.

use std::collections::BTreeMap;
use std::path::Path;

use super::disk::{Disk, Node, Open};
use super::trace::Event;

impl Disk {
    /// Does what the event did.
    pub(super) fn apply(&mut self, event: &Event) -> anyhow::Result<()> {
        match event {
            Event::Open { file, path, create, truncate, append } => {
                let opened = self.open_node(path, *create)?;
                let Some(node) = opened else {
                    // Outside of the root.
                    self.open.remove(file);
                    return Ok(());
                };
                if let (true, Node::File { bytes, .. }) = (*truncate, &mut self.nodes[node]) {
                    bytes.clear();
                }
                self.open.insert(*file, Open { node, position: 0, append: *append });
            }
            Event::MakeDir(path) => self.insert(path, Node::Dir(BTreeMap::new()))?,
            Event::Symlink { link, target } => self.insert(link, Node::Link(target.clone()))?,
            Event::RemoveDir(path) | Event::Remove(path) => drop(self.take(path)?),
            Event::Rename { from, to } => {
                if let Some(node) = self.take(from)? {
                    self.put(to, node)?;
                }
            }
            Event::Exchange { a, b } => {
                if let (Some(in_a), Some(in_b)) = (self.take(a)?, self.take(b)?) {
                    self.put(a, in_b)?;
                    self.put(b, in_a)?;
                }
            }
            Event::Link { from, to } => {
                if let Some((dir, name)) = self.place(from)
                    && let Some(node) = self.entries(dir)?.get(&name).copied()
                {
                    self.put(to, node)?;
                }
            }
            _ => self.apply_to_file(event),
        }
        Ok(())
    }

    /// What is opened at `path`; a file is made there where nothing is and `create` asks for it.
    fn open_node(&mut self, path: &Path, create: bool) -> anyhow::Result<Option<usize>> {
        match (self.find(path), self.place(path)) {
            (Some(node), _) => Ok(Some(node)),
            (None, Some((dir, name))) if create => {
                let node = self.add(Node::File { bytes: vec![], synced: vec![] });
                self.entries(dir)?.insert(name, node);
                Ok(Some(node))
            }
            _ => Ok(None),
        }
    }

    /// The events of files that are open.
    fn apply_to_file(&mut self, event: &Event) {
        match event {
            Event::Close(file) => drop(self.open.remove(file)),
            Event::Copy { from, to } => match self.open.get(from).copied() {
                Some(open) => drop(self.open.insert(*to, open)),
                None => drop(self.open.remove(to)),
            },
            Event::Read { file, length } => {
                if let Some(open) = self.open.get_mut(file) {
                    open.position += length;
                }
            }
            Event::Seek { file, position } => {
                if let Some(open) = self.open.get_mut(file) {
                    open.position = *position;
                }
            }
            Event::Write { file, bytes, at } => self.write(*file, bytes, *at),
            Event::Truncate { file, length } => {
                if let Some(open) = self.open.get(file)
                    && let Node::File { bytes, .. } = &mut self.nodes[open.node]
                {
                    bytes.resize(*length as usize, 0);
                }
            }
            Event::Sync(file) => {
                if let Some(open) = self.open.get(file)
                    && let Node::File { bytes, synced } = &mut self.nodes[open.node]
                {
                    synced.clone_from(bytes);
                }
            }
            Event::SyncAll => {
                for node in &mut self.nodes {
                    if let Node::File { bytes, synced } = node {
                        synced.clone_from(bytes);
                    }
                }
            }
            Event::Open { .. }
            | Event::MakeDir(_)
            | Event::Symlink { .. }
            | Event::RemoveDir(_)
            | Event::Remove(_)
            | Event::Rename { .. }
            | Event::Exchange { .. }
            | Event::Link { .. } => {}
        }
    }

    fn write(&mut self, file: u64, new: &[u8], at: Option<u64>) {
        let Some(open) = self.open.get_mut(&file) else { return };
        let Node::File { bytes, .. } = &mut self.nodes[open.node] else { return };
        let start = match at {
            _ if open.append => bytes.len(),
            Some(at) => at as usize,
            None => open.position as usize,
        };
        let end = start + new.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[start..end].copy_from_slice(new);
        if at.is_none() {
            open.position = end as u64;
        }
    }

    fn insert(&mut self, path: &Path, node: Node) -> anyhow::Result<()> {
        let node = self.add(node);
        self.put(path, node)
    }

    fn put(&mut self, path: &Path, node: usize) -> anyhow::Result<()> {
        if let Some((dir, name)) = self.place(path) {
            self.entries(dir)?.insert(name, node);
        }
        Ok(())
    }

    fn take(&mut self, path: &Path) -> anyhow::Result<Option<usize>> {
        match self.place(path) {
            Some((dir, name)) => Ok(self.entries(dir)?.remove(&name)),
            None => Ok(None),
        }
    }
}

//! Published files: found in the cache, or downloaded, verified and put there in one step.

use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
#[cfg(feature = "download")]
use std::time::Duration;

use md5::{Digest, Md5};
use sfumato_files::hex;

use super::store::regular;
use super::{DataError, LoadOptions, cache_dir};

/// A file that the authors of a data set published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Published<'a> {
    pub(super) dataset: &'static str,
    pub(super) file: &'a str,
    /// Its length; a longer answer is cut off as soon as it is noticed.
    pub(super) bytes: u64,
    /// The sum that the authors print. MD5 guards against accidents, not against a forger; so do they.
    pub(super) md5: &'a str,
    /// Addresses of folders that hold it, tried in order.
    pub(super) hosts: &'a [&'a str],
}

impl Published<'_> {
    fn path_in(&self, cache: &Path) -> PathBuf {
        cache.join(self.dataset).join(self.file)
    }

    /// The file in the cache, if it is there; whole, or an error.
    pub(super) fn cached(&self, options: &LoadOptions) -> Result<Option<PathBuf>, DataError> {
        let Some(cache) = cache_dir(options) else { return Ok(None) };
        let path = self.path_in(&cache);
        if !path.exists() {
            return Ok(None);
        }
        let found = md5_of_file(&path)?;
        if found == self.md5 {
            return Ok(Some(path));
        }
        if may_download(options) {
            tracing::warn!("{} is damaged (MD5 {found}, expected {}), fetching it again", path.display(), self.md5);
            return Ok(None);
        }
        Err(DataError::Checksum { path, algorithm: "MD5", expected: self.md5.to_owned(), found })
    }

    /// The file in the cache, downloaded if it is not there.
    pub(super) fn obtain(&self, options: &LoadOptions) -> Result<PathBuf, DataError> {
        if let Some(path) = self.cached(options)? {
            return Ok(path);
        }
        let cache = cache_dir(options).ok_or(DataError::NoCacheDir)?;
        let (dataset, file) = (self.dataset, self.file.to_owned());
        if !may_download(options) {
            return Err(DataError::DownloadOff { dataset, file, cache });
        }
        let path = self.path_in(&cache);
        let folder = path.parent().expect("the path was joined from a folder and names");
        fs::create_dir_all(folder).map_err(DataError::io("create", folder))?;
        let mut attempts = Vec::new();
        for url in self.addresses(options) {
            match self.download(&url, &path)? {
                Ok(()) => return Ok(path),
                Err(reason) => {
                    tracing::warn!("{url}: {reason}");
                    attempts.push(format!("{url}: {reason}"));
                }
            }
        }
        Err(DataError::Download { dataset, file, attempts: attempts.join("; "), cache: folder.to_owned() })
    }

    fn addresses(&self, options: &LoadOptions) -> Vec<String> {
        let from_environment = || std::env::var("SFUMATO_MIRROR").ok().filter(|mirror| !mirror.is_empty());
        match options.mirror.clone().or_else(from_environment) {
            Some(mirror) => vec![format!("{}/{}/{}", mirror.trim_end_matches('/'), self.dataset, self.file)],
            None => self.hosts.iter().map(|host| format!("{host}/{}", self.file)).collect(),
        }
    }

    /// Downloads to a temporary file beside `path` and renames it when it is whole. The outer error is this machine's,
    /// the inner one the network's: only after the latter is it worth trying another address.
    fn download(&self, url: &str, path: &Path) -> Result<Result<(), String>, DataError> {
        tracing::info!("downloading {url} ({:.1} MB) to {}", self.bytes as f64 / 1e6, path.display());
        let mut body = match open(url) {
            Ok(body) => body.take(self.bytes + 1),
            Err(reason) => return Ok(Err(reason)),
        };
        let folder = path.parent().expect("the path was joined from a folder and names");
        let mut file = tempfile::Builder::new()
            .prefix(".download-")
            .tempfile_in(folder)
            .map_err(DataError::io("write into", folder))?;
        let (mut hash, mut total, mut buffer) = (Md5::new(), 0u64, vec![0; 1 << 16]);
        loop {
            let n = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Err(format!("broken off after {total} of {} bytes: {error}", self.bytes))),
            };
            total += n as u64;
            hash.update(&buffer[..n]);
            file.write_all(&buffer[..n]).map_err(DataError::io("write into", folder))?;
        }
        let found = hex(&hash.finalize());
        if total != self.bytes {
            let more = if total > self.bytes { "more than " } else { "" };
            let total = total.min(self.bytes);
            return Ok(Err(format!("the answer has {more}{total} bytes, expected {}", self.bytes)));
        }
        if found != self.md5 {
            return Ok(Err(format!("the answer has MD5 {found}, expected {}", self.md5)));
        }
        file.persist(path).map_err(|error| DataError::io("write", path)(error.error))?;
        Ok(Ok(()))
    }
}

/// Whether files may be fetched, and can be.
fn may_download(options: &LoadOptions) -> bool {
    options.download && cfg!(feature = "download")
}

/// What a server answers, or why it does not.
#[cfg(feature = "download")]
fn open(url: &str) -> Result<impl Read, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .user_agent(concat!("sfumato/", env!("CARGO_PKG_VERSION")))
        // The checksum is of the file as stored: no second layer of compression, please.
        .accept_encoding("identity")
        .timeout_connect(Some(Duration::from_secs(20)))
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .build()
        .into();
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    Ok(response.into_body().into_reader())
}

#[cfg(not(feature = "download"))]
fn open(_: &str) -> Result<io::Empty, String> {
    Err("the feature `download` is not compiled in".to_owned())
}

fn md5_of_file(path: &Path) -> Result<String, DataError> {
    let mut file = BufReader::with_capacity(1 << 16, regular(path)?);
    let mut hash = Md5::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(DataError::io("read", path))? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    const BODY: &[u8] = b"the quick brown fox";
    /// `printf 'the quick brown fox' | md5sum`
    const BODY_MD5: &str = "30f3c93e46436deb58ba70816a8ec124";

    const FILE: Published =
        Published { dataset: "mnist", file: "x.gz", bytes: BODY.len() as u64, md5: BODY_MD5, hosts: &[] };

    /// A server on the loopback interface that gives each of the answers once, then is gone. Returns its address.
    fn server(answers: Vec<Vec<u8>>) -> (String, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let handle = thread::spawn(move || {
            answers
                .into_iter()
                .map(|answer| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let request = read_request(&mut stream);
                    stream.write_all(&answer).unwrap();
                    request
                })
                .collect()
        });
        (address, handle)
    }

    fn read_request(stream: &mut TcpStream) -> String {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            request.push(byte[0]);
        }
        String::from_utf8(request).unwrap().lines().next().unwrap_or_default().to_owned()
    }

    fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        [head.as_bytes(), body].concat()
    }

    fn options(cache: &Path, mirror: &str) -> LoadOptions {
        let (cache_dir, mirror) = (Some(cache.to_owned()), Some(mirror.to_owned()));
        LoadOptions { cache_dir, mirror, ..LoadOptions::default() }
    }

    fn files_below(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder.join("mnist")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_downloaded_once_verified_and_then_comes_from_the_cache() {
        let cache = tempfile::tempdir().unwrap();
        let (mirror, handle) = server(vec![answer("200 OK", BODY.len(), BODY)]);
        let options = options(cache.path(), &format!("{mirror}/"));
        let path = FILE.obtain(&options).unwrap();
        assert_eq!(fs::read(&path).unwrap(), BODY);
        assert_eq!(handle.join().unwrap(), ["GET /mnist/x.gz HTTP/1.1"]);
        assert_eq!(files_below(cache.path()), ["x.gz"]);
        // The server is gone: this can only be the cache.
        assert_eq!(FILE.obtain(&options).unwrap(), path);
        assert_eq!(FILE.obtain(&LoadOptions { download: false, ..options }).unwrap(), path);
    }

    #[test]
    fn bad_answers_leave_nothing_behind_and_say_what_came() {
        let wrong = b"the quick brown FOX";
        let long = b"the quick brown fox jumps";
        let cases = [
            (answer("404 Not Found", 3, b"no!"), "404"),
            (answer("200 OK", wrong.len(), wrong), "has MD5 "),
            (answer("200 OK", BODY.len(), &BODY[..7]), "after 7 of 19 bytes"),
            (answer("200 OK", 7, &BODY[..7]), "has 7 bytes, expected 19"),
            (answer("200 OK", long.len(), long), "more than 19 bytes"),
            (b"garbage\r\n\r\n".to_vec(), "x.gz: "),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthe q\r\n".to_vec(), "after 5 of 19 bytes"),
        ];
        for (bytes, expected) in cases {
            let cache = tempfile::tempdir().unwrap();
            let (mirror, handle) = server(vec![bytes]);
            let error = FILE.obtain(&options(cache.path(), &mirror)).unwrap_err();
            handle.join().unwrap();
            let message = error.to_string();
            assert!(matches!(error, DataError::Download { .. }));
            for part in [expected, &mirror, "SFUMATO_MIRROR", "mnist"] {
                assert!(message.contains(part), "{message} lacks {part}");
            }
            assert!(files_below(cache.path()).is_empty());
        }
    }

    #[test]
    fn a_refused_connection_is_reported_with_its_address() {
        let cache = tempfile::tempdir().unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let message = FILE.obtain(&options(cache.path(), &format!("http://{free}"))).unwrap_err().to_string();
        assert!(message.contains(&free.to_string()) && message.contains("refused"), "{message}");
    }

    #[test]
    fn the_second_host_is_asked_when_the_first_fails() {
        let cache = tempfile::tempdir().unwrap();
        let (first, a) = server(vec![answer("503 Service Unavailable", 0, b"")]);
        let (second, b) = server(vec![answer("200 OK", BODY.len(), BODY)]);
        let hosts = [first.as_str(), second.as_str()];
        let file = Published { hosts: &hosts, ..FILE };
        // Through the default addresses, so that SFUMATO_MIRROR is not in the way.
        let path = cache.path().join("mnist");
        fs::create_dir_all(&path).unwrap();
        let tried: Vec<_> =
            hosts.iter().map(|host| file.download(&format!("{host}/x.gz"), &path.join("x.gz")).unwrap()).collect();
        assert!(tried[0].as_ref().unwrap_err().contains("503") && tried[1].is_ok());
        for server in [a, b] {
            server.join().unwrap();
        }
    }

    #[test]
    fn a_damaged_file_in_the_cache_is_fetched_again_or_refused_when_downloading_is_off() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir_all(cache.path().join("mnist")).unwrap();
        fs::write(cache.path().join("mnist/x.gz"), b"damaged").unwrap();
        let (mirror, handle) = server(vec![answer("200 OK", BODY.len(), BODY)]);
        let online = options(cache.path(), &mirror);
        let offline = LoadOptions { download: false, ..online.clone() };
        let message = FILE.obtain(&offline).unwrap_err().to_string();
        assert!(message.contains(BODY_MD5) && message.contains("x.gz"), "{message}");
        assert_eq!(fs::read(FILE.obtain(&online).unwrap()).unwrap(), BODY);
        handle.join().unwrap();
    }

    #[test]
    fn without_the_file_and_without_downloading_the_way_out_is_named() {
        let cache = tempfile::tempdir().unwrap();
        let offline = LoadOptions { download: false, ..options(cache.path(), "http://127.0.0.1:1") };
        let message = FILE.obtain(&offline).unwrap_err().to_string();
        assert!(message.contains("switched off") && message.contains(&*cache.path().to_string_lossy()), "{message}");
    }

    #[test]
    fn an_unwritable_cache_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), b"").unwrap();
        let error = FILE.obtain(&options(&dir.path().join("file"), "http://127.0.0.1:1")).unwrap_err();
        assert!(matches!(&error, DataError::Io { .. }), "{error}");
    }
}

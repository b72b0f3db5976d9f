//! `sfumato serve`: a page on this machine to play with a model, and the JSON API behind it.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `server`, `patient`, `limits` | connections, and how long and how much each of them may take |
//! | `routes`, `guard`, `body`, `reply`, `events` | from a request to an answer |
//! | `served`, `facts` | the model, and what it can do |
//! | `fields`, `settings` | what a client can ask for |
//! | `job`, `jobs`, `turns` | what waits, in which order, and what has become of it |
//! | `drawing`, `pictures` | the work itself, on the device |
//! | `page` | the page |
//!
//! One thread answers, and never waits for a picture; the thread that has called the command draws, and never waits for a client.

mod body;
mod drawing;
mod events;
mod facts;
mod fields;
mod guard;
mod job;
mod jobs;
mod limits;
mod page;
mod patient;
mod pictures;
mod reply;
mod routes;
mod served;
mod server;
mod settings;
mod turns;

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    process::exit,
    sync::{Arc, atomic::AtomicBool, mpsc},
    thread,
};

use anyhow::{Context, Result, anyhow};
use sfumato_kernels::Backend;
use sfumato_model::{Model, pipeline::Pipeline};

use self::{drawing::draw_all, jobs::Jobs, routes::Site, served::Served, server::Server};
use crate::{
    args::ServeArgs,
    backend::{Work, with_backend},
    loaded, signals,
};

pub(crate) fn run(args: ServeArgs) -> Result<()> {
    let model = loaded::open_model_with(&args.model, args.null_class)?;
    settings::check_model(&model)?;
    // Before the weights are read: a port that is taken is a mistake of a moment.
    let listener = bind(SocketAddr::new(args.address.0, args.port))?;
    let stop = signals::stop_flag()?;
    let machine = args.machine.clone();
    with_backend(&machine, Serving { args, model, listener, stop })
}

/// Listens at an address.
fn bind(place: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(place).map_err(|error| {
        let (address, port) = (place.ip(), place.port());
        match error.kind() {
            ErrorKind::AddrInUse => {
                anyhow!("port {port} of {address} is taken by another program; choose another with --port, or any free one with --port 0")
            }
            ErrorKind::PermissionDenied => {
                anyhow!("port {port} of {address} is not for everybody: take one from 1024 on with --port")
            }
            ErrorKind::AddrNotAvailable => {
                anyhow!("{address} is no address of this machine: take one that it has with --address, or 127.0.0.1")
            }
            _ => anyhow::Error::new(error).context(format!("cannot listen at {place}")),
        }
    })
}

/// The work of the command, for whichever backend.
struct Serving {
    args: ServeArgs,
    model: Pipeline,
    listener: TcpListener,
    stop: Arc<AtomicBool>,
}

impl Work for Serving {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device) -> Result<()> {
        let backend = self.args.machine.backend;
        let facts = facts::of(&self.model, &facts::name_of(&self.args.model), &backend.name())?;
        let model = Model::<B>::load(self.model.clone(), &device)?.in_precision(self.args.machine.precision());
        let served = Served::new(self.model, self.args.null_class, &self.args.machine)?;
        let jobs = Arc::new(Jobs::new());
        let place = self.listener.local_addr().context("cannot tell where the server listens")?;
        let source = served.source(&self.args.model, place.ip(), backend);
        let site = Site { served, facts, address: place.ip(), jobs: Arc::clone(&jobs) };
        let server = Server::new(self.listener)?;
        let stop = self.stop;
        let (drawn, ended) = mpsc::channel();
        let serve = move || {
            server.serve(&Arc::new(site), &stop);
            // Nothing is lost that anybody waits for: a step of a large network is not waited for.
            if ended.recv_timeout(limits::FAREWELL).is_err() {
                exit(0);
            }
        };
        let answering =
            thread::Builder::new().name("server".to_owned()).spawn(serve).context("cannot start the server")?;
        announce(place);
        let announced = out!("{}", url(place));
        if announced.is_ok() {
            draw_all(&model, &jobs, &source);
        }
        let _ = drawn.send(());
        if announced.is_ok() {
            answering.join().map_err(|_| anyhow!("the server broke off"))?;
        }
        announced
    }
}

/// Says who can use the page, and how it ends.
fn announce(place: SocketAddr) {
    if !place.ip().is_loopback() {
        say!("warning: anyone on the network can use this page and this machine's time: it listens at {}", place.ip());
    }
    say!("the page is at the address below; Ctrl-C ends it");
}

/// Where a browser on this machine finds the page.
fn url(place: SocketAddr) -> String {
    let mut place = place;
    if place.ip().is_unspecified() {
        place.set_ip(if place.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{place}/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_can_be_opened_on_this_machine() {
        for (place, expected) in [
            ("127.0.0.1:7860", "http://127.0.0.1:7860/"),
            ("0.0.0.0:80", "http://127.0.0.1:80/"),
            ("[::]:80", "http://[::1]:80/"),
            ("192.168.0.3:1", "http://192.168.0.3:1/"),
        ] {
            assert_eq!(url(place.parse().unwrap()), expected);
        }
    }
}

//! `sfumato serve`

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    str::FromStr,
};

use clap::Args;

use super::{MachineArgs, values};

/// Open a page on this machine to play with a model
///
/// The page draws pictures, shows them as they emerge, and gives them to you as PNG files. Behind it is a small JSON API,
/// which the guide describes. Only programs of this machine reach it, unless --address names another address.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Model directory: a diffusers pipeline, such as runs/NAME/model
    #[arg(long, value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// Address to listen at; any but a loopback address opens the page to the network
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) address: Address,
    /// Port to listen at; 0 for any free one, which the printed address then names
    #[arg(long, default_value_t = 7860, value_name = "N", value_parser = values::at_least::<u16>(0))]
    pub(crate) port: u16,
    /// Class that stands for "any", if the model was made elsewhere and does not say it; always the last one [default: what the model says]
    #[arg(long, value_name = "K", value_parser = values::at_least::<usize>(0))]
    pub(crate) null_class: Option<usize>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
}

/// An address of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) IpAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        match bare.parse() {
            Ok(address) => Ok(Self(address)),
            Err(_) if text.eq_ignore_ascii_case("localhost") => Ok(Self(Ipv4Addr::LOCALHOST.into())),
            Err(_) => Err("expected an IP address of this machine, such as 127.0.0.1 or ::1, or localhost; 0.0.0.0 is all of them".into()),
        }
    }
}

const EXAMPLES: &str = "Examples:
  sfumato serve --model runs/fashion-mnist-mini/model
  sfumato serve --model runs/classes/model --port 0

Ctrl-C ends it.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_numbers_or_localhost() {
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("localhost", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("0.0.0.0", "0.0.0.0"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().0.to_string(), expected);
        }
        for text in ["", "example.org", "127.0.0.1:80", "http://127.0.0.1", "256.0.0.1"] {
            assert!(text.parse::<Address>().unwrap_err().contains("an IP address"), "{text}");
        }
    }
}

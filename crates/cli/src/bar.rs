//! Progress bars on stderr that never make the work wait for the terminal.

use std::{
    io::{IsTerminal, Result, Write},
    mem::take,
    sync::{Mutex, MutexGuard, PoisonError},
};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::say::Stderr;

/// A bar of `length` in this form; none if stderr is no terminal.
pub(crate) fn new(length: u64, template: &str) -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(length), target()).with_style(style)
    })
}

fn target() -> ProgressDrawTarget {
    if cfg!(unix) {
        ProgressDrawTarget::term_like_with_hz(Box::new(Screen { term: Term::stderr(), drawn: Mutex::default() }), RATE)
    } else {
        ProgressDrawTarget::stderr() // not every terminal knows the codes below
    }
}

/// Drawings a second at most.
const RATE: u8 = 20;

/// The terminal, by the way of [`Stderr`].
#[derive(Debug)]
struct Screen {
    /// Asked for its size, and nothing else.
    term: Term,
    /// What is drawn and not yet shown.
    drawn: Mutex<String>,
}

impl Screen {
    fn drawn(&self) -> MutexGuard<'_, String> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the cursor by an ANSI code.
    fn go(&self, n: usize, direction: char) -> Result<()> {
        if n > 0 {
            self.drawn().push_str(&format!("\x1b[{n}{direction}"));
        }
        Ok(())
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.term.size().1
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> Result<()> {
        self.go(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> Result<()> {
        self.go(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> Result<()> {
        self.go(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> Result<()> {
        self.go(n, 'D')
    }

    fn write_line(&self, text: &str) -> Result<()> {
        let mut drawn = self.drawn();
        drawn.push_str(text);
        drawn.push('\n');
        Ok(())
    }

    fn write_str(&self, text: &str) -> Result<()> {
        self.drawn().push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> Result<()> {
        self.write_str("\r\x1b[2K")
    }

    fn flush(&self) -> Result<()> {
        let drawn = take(&mut *self.drawn());
        Stderr.write_all(drawn.as_bytes())
    }
}

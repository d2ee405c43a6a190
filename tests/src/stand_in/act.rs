//! Who performs a play: act after act, in a terminal or out of one.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::asked::Asked;
use super::play::{Act, Play};
use super::{chat, imitate, linger, terminal, trust};

/// How often the spinner turns.
const SPINNER_PERIOD: Duration = Duration::from_millis(80);

/// How often a cue is looked for.
const CUE_PERIOD: Duration = Duration::from_millis(10);

/// How long a terminal may take to answer a query.
const REPLY_WITHIN: Duration = Duration::from_millis(500);

/// The head of a prompt, for a line on the screen.
const HEAD_CHARS: usize = 60;

/// Why a performance ends before its last act.
#[derive(Debug)]
pub(super) enum Halt {
    Exit(u8),
    Trouble(io::Error),
}

/// The performer: who it is, what it was asked, which submission it is at.
#[derive(Debug)]
pub(super) struct Actor {
    name: String,
    asked: Asked,
    play: Play,
    /// What is being answered.
    prompt: Vec<u8>,
    turns: u32,
    /// In a composer, where lines end in a return too.
    raw: bool,
}

impl Actor {
    pub(super) fn new(name: String, mut asked: Asked, play: Play) -> Actor {
        let given = asked.prompt.take().map(String::into_bytes);
        // Whoever has a composer waits for what is typed into it.
        let file = || {
            if play.chat.is_none() { prompt_from_file() } else { None }
        };
        let prompt = given.or_else(file).unwrap_or_default();
        Actor { name, asked, play, prompt, turns: 0, raw: false }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn perform(mut self) -> Result<(), Halt> {
        for act in std::mem::take(&mut self.play.opening) {
            self.act(&act)?;
        }
        if let Some(style) = self.play.chat.clone() {
            if !self.prompt.is_empty() {
                // The first turn came by argument.
                let first = std::mem::take(&mut self.prompt);
                self.turn(first)?;
            }
            if terminal::is_terminal() {
                self.raw = true;
                chat::hold(&mut self, &style)?;
            }
        }
        Ok(())
    }

    /// Answers one submission.
    pub(super) fn turn(&mut self, prompt: Vec<u8>) -> Result<(), Halt> {
        self.prompt = prompt;
        self.turns += 1;
        for act in self.play.turn.clone() {
            self.act(&act)?;
        }
        Ok(())
    }

    fn act(&mut self, act: &Act) -> Result<(), Halt> {
        match act {
            Act::Say(text) => self.print(&format!("{}\n", self.fill(text)))?,
            Act::See => self.print(&self.sight()?)?,
            Act::Quote => self.print(&quotes()?)?,
            Act::Write { path, text } => self.write(path, text)?,
            Act::Note { path, text } => linger::note(Path::new(&self.fill(path)), &self.fill(text))?,
            Act::Json(text) => self.print(&format!("```json\n{}\n```\n", self.fill(text)))?,
            Act::Digest => self.print(&self.digest())?,
            Act::PrintLines(count) => crate::numbered::write(*count, &mut io::stdout().lock())?,
            Act::Pause(time) => self.pause(*time)?,
            Act::WaitFor(path) => wait_for(Path::new(&self.fill(path))),
            Act::Run(line) => self.run(&self.fill(line))?,
            Act::Daemons { count, path } => linger::start(*count, Path::new(&self.fill(path)))?,
            Act::Ignore => [libc::SIGTERM, libc::SIGHUP].into_iter().for_each(linger::ignore),
            Act::Storm(storm) => storm.blow()?,
            Act::Query => self.query()?,
            Act::Exit(code) => return Err(Halt::Exit(*code)),
            Act::Crash => crash()?,
            Act::Hang => hang(),
            Act::When { text, act } => return self.when(text, act),
            Act::Once { path, act } => return self.once(path, act),
            Act::Imitate(name) => return imitate::play(name, &self.asked.args),
            Act::Trust if trust::ask()? => {}
            Act::Trust => return Err(Halt::Exit(1)),
        }
        Ok(())
    }

    fn when(&mut self, text: &str, act: &Act) -> Result<(), Halt> {
        if String::from_utf8_lossy(&self.prompt).contains(text) { self.act(act) } else { Ok(()) }
    }

    fn once(&mut self, path: &str, act: &Act) -> Result<(), Halt> {
        let path = self.fill(path);
        match std::fs::OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(_) => self.act(act),
            Err(trouble) if trouble.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(trouble) => Err(Halt::Trouble(trouble)),
        }
    }

    fn print(&self, text: &str) -> io::Result<()> {
        terminal::print(text, self.raw)
    }

    /// Puts what it knows in the place of `{…}`.
    fn fill(&self, text: &str) -> String {
        let prompt = String::from_utf8_lossy(&self.prompt);
        let head: String = prompt.lines().next().unwrap_or_default().chars().take(HEAD_CHARS).collect();
        let cwd = std::env::current_dir().unwrap_or_default();
        let mut text = text
            .replace("{name}", &self.name)
            .replace("{model}", self.asked.model.as_deref().unwrap_or("-"))
            .replace("{args}", &self.asked.args.join(" "))
            .replace("{cwd}", &cwd.to_string_lossy())
            .replace("{pid}", &std::process::id().to_string())
            .replace("{turn}", &self.turns.to_string());
        while let Some((before, rest)) = text.split_once("{env:") {
            let Some((name, after)) = rest.split_once('}') else {
                break;
            };
            let value = std::env::var(name).unwrap_or_default();
            text = format!("{before}{value}{after}");
        }
        // The prompt comes last: it may hold braces of its own.
        text.replace("{head}", &head).replace("{prompt}", &prompt)
    }

    fn sight(&self) -> io::Result<String> {
        let mut text = format!("worktree: {}\n", listing(&std::env::current_dir()?, false)?);
        if let Some(pad) = scratchpad() {
            let _ = writeln!(text, "scratchpad: {}", listing(&pad, true)?);
        }
        Ok(text)
    }

    fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let path = PathBuf::from(self.fill(path));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, format!("{}\n", self.fill(text)))
    }

    fn digest(&self) -> String {
        let mut text = String::from("sha256 ");
        for byte in Sha256::digest(&self.prompt) {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = writeln!(text, " bytes {} submission {}", self.prompt.len(), self.turns);
        text
    }

    fn pause(&self, time: Duration) -> io::Result<()> {
        let start = Instant::now();
        for frame in ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"].iter().cycle() {
            let left = time.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            if terminal::is_terminal() {
                self.print(&format!("\r{frame} Working… ({}s)", start.elapsed().as_secs()))?;
            }
            std::thread::sleep(left.min(SPINNER_PERIOD));
        }
        if terminal::is_terminal() { self.print("\r\x1b[K") } else { Ok(()) }
    }

    fn run(&self, line: &str) -> io::Result<()> {
        let output = Command::new("sh").args(["-c", line]).output()?;
        self.print(&String::from_utf8_lossy(&output.stdout))?;
        self.print(&String::from_utf8_lossy(&output.stderr))?;
        self.print(&format!("exit {}\n", output.status.code().unwrap_or(-1)))
    }

    /// Device attributes and the cursor's place, which every terminal tells who asks.
    fn query(&self) -> io::Result<()> {
        if !terminal::is_terminal() {
            return self.print("no terminal\n");
        }
        let _raw = terminal::Raw::enter()?;
        terminal::print("\x1b[c\x1b[6n", true)?;
        let reply = terminal::read_until_quiet(REPLY_WITHIN)?;
        terminal::print(&format!("reply {}\n", reply.escape_ascii()), true)
    }
}

/// A program that takes its prompt from neither argument nor keyboard is given it as a file.
fn prompt_from_file() -> Option<Vec<u8>> {
    std::fs::read(std::env::var_os("NIIA_PROMPT_FILE")?).ok()
}

fn scratchpad() -> Option<PathBuf> {
    std::env::var_os("NIIA_SCRATCHPAD").map(PathBuf::from)
}

/// Every file below `folder`, sorted; links and what belongs to git left out.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name() != ".git" {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() && entry.file_name() != ".git" {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn listing(folder: &Path, with_size: bool) -> io::Result<String> {
    let mut names = Vec::new();
    for file in files(folder)? {
        let name = file.strip_prefix(folder).unwrap_or(&file).to_string_lossy().into_owned();
        let size = if with_size { format!(" ({})", file.metadata()?.len()) } else { String::new() };
        names.push(format!("{name}{size}"));
    }
    Ok(if names.is_empty() { "nothing".to_owned() } else { names.join(", ") })
}

fn quotes() -> io::Result<String> {
    let Some(pad) = scratchpad() else {
        return Ok("no scratchpad\n".to_owned());
    };
    let mut text = String::new();
    for file in files(&pad)?.iter().filter(|file| file.extension().is_some_and(|ending| ending == "md")) {
        let name = file.strip_prefix(&pad).unwrap_or(file).display();
        let _ = writeln!(text, "--- {name}\n{}", std::fs::read_to_string(file)?.trim_end());
    }
    Ok(text)
}

fn wait_for(path: &Path) {
    while !path.exists() {
        std::thread::sleep(CUE_PERIOD);
    }
}

fn crash() -> io::Result<()> {
    // The one signal that leaves no core file behind.
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
    hang();
    Ok(())
}

fn hang() {
    loop {
        std::thread::park();
    }
}

//! Where QUIC's own tasks run: what strangers can cause on the network's thread, and a link that both ends believe in
//! where its words are said and read.
//!
//! Each crossing from one thread to another costs a small message as much as its whole way through the kernel. So a
//! connection begins on the network's thread, and moves once its other end is known. The task that reads the socket comes
//! along, and goes back for as long as much comes in or strangers do.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use quinn::{AsyncTimer, Runtime, TokioRuntime};
use tokio::runtime::{Handle, Id};

use super::weather::{Sign, Weather};

/// A task of QUIC.
pub(super) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A hold on a task of QUIC, wherever it runs just now.
#[derive(Clone, Debug)]
pub struct Driver(Arc<Shared>);

#[derive(Debug)]
struct Shared(Mutex<Place>);

#[derive(Debug)]
struct Place {
    /// Of the task that has it just now.
    waker: Waker,
    /// Where it is to go.
    to: Option<Handle>,
}

thread_local! {
    /// What was started last on this thread: QUIC tells nobody which task belongs to which connection.
    static STARTED: Cell<Option<Driver>> = const { Cell::new(None) };
}

/// Begins something, and says which task of QUIC was started for it.
pub(super) fn started<T>(begin: impl FnOnce() -> T) -> (T, Option<Driver>) {
    drop(STARTED.take());
    let begun = begin();
    (begun, STARTED.take())
}

/// Starts a task on the network's thread. With a weather it goes back there by itself.
pub(super) fn start(task: Task, weather: Option<Weather>, network: &Handle) {
    let shared = Arc::new(Shared(Mutex::new(Place { waker: Waker::noop().clone(), to: None })));
    let sky = weather.map(|weather| Sky { weather, network: network.clone(), home: None });
    run(Arc::clone(&shared), Moving { task, sky }, network);
    STARTED.set(Some(Driver(shared)));
}

fn run(shared: Arc<Shared>, moving: Moving, on: &Handle) {
    let waker = Waker::from(Arc::clone(&shared));
    drop(on.spawn(async move {
        let stay = Stay { shared: Arc::clone(&shared), waker, moving: Some(moving) };
        if let Some((moving, to)) = stay.await {
            run(shared, moving, &to);
        }
    }));
}

impl Driver {
    /// Has it run where this is called from.
    pub(super) fn come_here(&self) {
        let mut place = self.0.place();
        place.to = Some(Handle::current());
        place.waker.wake_by_ref();
    }
}

impl Shared {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// QUIC keeps what it was polled with: that leads to wherever the task is by then.
impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.place().waker.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.place().waker.wake_by_ref();
    }
}

struct Moving {
    task: Task,
    sky: Option<Sky>,
}

/// What drives a task back to the network's thread, and lets it come again.
struct Sky {
    weather: Weather,
    network: Handle,
    /// Where it was asked to be.
    home: Option<Handle>,
}

impl Sky {
    fn look(&mut self, began: Instant) -> Option<Handle> {
        let home = self.home.as_ref()?;
        match self.weather.seen(began, began.elapsed())? {
            Sign::Storm => Some(self.network.clone()),
            Sign::Calm => Some(home.clone()),
        }
    }
}

/// A task until it is over, or is to go on elsewhere.
struct Stay {
    shared: Arc<Shared>,
    waker: Waker,
    moving: Option<Moving>,
}

impl Stay {
    /// Where somebody wants it to be.
    fn called(&mut self, cx: &Context<'_>) -> Option<Handle> {
        let mut place = self.shared.place();
        if !place.waker.will_wake(cx.waker()) {
            place.waker = cx.waker().clone();
        }
        let to = place.to.take()?;
        if let Some(Moving { sky: Some(sky), .. }) = &mut self.moving {
            sky.home = Some(to.clone());
            return (!sky.weather.is_storm()).then_some(to);
        }
        Some(to)
    }
}

impl Future for Stay {
    type Output = Option<(Moving, Handle)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(to) = this.called(cx) {
            return Poll::Ready(this.moving.take().map(|moving| (moving, to)));
        }
        let Some(moving) = &mut this.moving else { return Poll::Ready(None) };
        let began = moving.sky.as_ref().map(|_| Instant::now());
        if moving.task.as_mut().poll(&mut Context::from_waker(&this.waker)).is_ready() {
            return Poll::Ready(None);
        }
        let sky = moving.sky.as_mut().zip(began);
        match sky.and_then(|(sky, began)| sky.look(began)) {
            Some(to) => Poll::Ready(this.moving.take().map(|moving| (moving, to))),
            None => Poll::Pending,
        }
    }
}

/// A timer of the runtime that its task is on.
#[derive(Debug)]
pub(super) struct Timer {
    at: Instant,
    on: Id,
    timer: Pin<Box<dyn AsyncTimer>>,
}

impl Timer {
    pub fn new(at: Instant) -> Timer {
        Timer { at, on: Handle::current().id(), timer: TokioRuntime.new_timer(at) }
    }

    /// One that was left behind would wake its task from another thread.
    fn follow(&mut self) {
        if self.on != Handle::current().id() {
            *self = Timer::new(self.at);
        }
    }
}

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, at: Instant) {
        self.at = at;
        if self.on == Handle::current().id() {
            self.timer.as_mut().reset(at);
        } else {
            self.follow();
        }
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.follow();
        self.timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::endpoint::weather::Knocks;

    /// A task that says where it is whenever it is asked, with the waker it was polled with at first.
    struct Says {
        asked: mpsc::UnboundedReceiver<()>,
        says: mpsc::UnboundedSender<Id>,
    }

    impl Future for Says {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            while let Poll::Ready(asked) = self.asked.poll_recv(cx) {
                if asked.is_none() {
                    return Poll::Ready(());
                }
                let _ = self.says.send(Handle::current().id());
            }
            Poll::Pending
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_task_comes_where_it_is_wanted_and_leaves_before_a_storm() {
        let network = crate::endpoint::thread::handle().unwrap();
        let knocks = Knocks::default();
        let (ask, asked) = mpsc::unbounded_channel();
        let (says, mut said) = mpsc::unbounded_channel();
        let task = Box::pin(Says { asked, says });
        let ((), driver) = started(|| start(task, Some(Weather::new(knocks.clone())), &network));
        ask.send(()).unwrap();
        assert_eq!(said.recv().await, Some(network.id()));
        driver.unwrap().come_here();
        let here = Handle::current().id();
        let mut place = network.id();
        while place != here {
            ask.send(()).unwrap();
            place = said.recv().await.unwrap();
        }
        (0..100).for_each(|_| knocks.one());
        while place != network.id() {
            ask.send(()).unwrap();
            place = said.recv().await.unwrap();
        }
        drop(ask);
        assert_eq!(said.recv().await, None, "it is over");
    }
}

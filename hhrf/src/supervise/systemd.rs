//! Notifications to systemd (sd_notify(3)), for a supervisor started as `Type=notify`.

use std::time::Duration;

use sd_notify::NotifyState;

/// Sends these, if systemd has asked for them.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("systemd cannot be told: {error}");
    }
}

/// A serving process accepts connections.
pub(super) fn ready(child: u32) {
    notify(&[NotifyState::Ready, NotifyState::Status(&format!("serving, process {child}"))]);
}

/// Another one is being started; `ready` follows.
pub(super) fn reloading() {
    let Ok(now) = NotifyState::monotonic_usec_now() else { return };
    notify(&[NotifyState::Reloading, now]);
}

pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The serving process shows signs of life.
pub(super) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// How often systemd wants to hear that, if at all: twice as often as it waits.
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2)
}

//! Long work beside everything else: recordings, texts in files, and older output. Each says how far it is.

use std::path::PathBuf;
use std::sync::Arc;

use opsctl_protocol::CommandId;
use opsctl_terminal::Lines;
use tokio::sync::mpsc;

use crate::export::Form;
use crate::state::older::Older;
use crate::state::{Answer, Message};

/// Bytes of older output between two words about how far it is.
const PROGRESS: u64 = 256 * 1024;

/// Records a command's output, and says what came of it.
pub(super) async fn record(
    (options, answers): (opsctl_client::Options, mpsc::Sender<Message>),
    command: CommandId,
    to: u64,
    size: (u16, u16),
    path: PathBuf,
) {
    let mut written = 0;
    let told = |done| {
        // Where there is no room the next one tells it.
        if done - written >= PROGRESS
            && answers
                .try_send(Message::Answer(Answer::Exporting(path.clone(), done)))
                .is_ok()
        {
            written = done;
        }
    };
    let came = crate::log::record(options, command, to, size, &path, told).await;
    // Nobody listens any more when the console is being left.
    let _ = answers
        .send(Message::Answer(Answer::Exported(path, came)))
        .await;
}

/// Writes lines to a file, and says what came of it.
pub(super) async fn write(
    answers: mpsc::Sender<Message>,
    path: PathBuf,
    lines: Arc<Lines>,
    form: Form,
) {
    let told = |done| {
        // Where there is no room the next one tells it.
        let _ = answers.try_send(Message::Answer(Answer::Exporting(path.clone(), done)));
    };
    let came = crate::export::write(&path, &lines, form, told).await;
    // Nobody listens any more when the console is being left.
    let _ = answers
        .send(Message::Answer(Answer::Exported(path, came)))
        .await;
}

/// Reads older output and emulates it aside, telling how far it is.
pub(super) async fn load_older(
    options: opsctl_client::Options,
    older: Older,
    answers: mpsc::Sender<Message>,
) {
    let command = older.command.command_id;
    let mut pane = older.pane();
    let (mut begun, mut told) = (false, 0);
    let read = crate::log::read(options, command, older.from, older.to, |frame| {
        let read = frame.end() - older.from;
        pane.output(&older.part(frame, &mut begun));
        // Where there is no room the next one tells it.
        let due = read - told >= PROGRESS;
        if due
            && answers
                .try_send(Message::Answer(Answer::Loading(command, read)))
                .is_ok()
        {
            told = read;
        }
        Ok(())
    });
    let answer = match read.await {
        Ok(()) => Answer::Older(Arc::new(pane), Box::new(older)),
        Err(why) => Answer::NotLoaded(command, why),
    };
    // Nobody listens any more when the console is being left.
    let _ = answers.send(Message::Answer(answer)).await;
}

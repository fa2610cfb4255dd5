//! The files of a context, which BuildKit asks for one by one.
//!
//! The protocol is that of `fsutil`, which BuildKit's own client speaks: this side lists all files, and then sends the
//! content of those that the other side asks for. A file's number is its place in the list.

use std::sync::{Arc, Mutex, PoisonError};

use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use bollard_buildkit_proto::fsutil::types::{Packet, Stat};
use bollard_buildkit_proto::moby::filesync::v1::file_sync_server::FileSync;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::error::{Error, Result as Outcome};
use crate::runtime::{ContextFile, ContextFileKind, ContextFiles};

/// How many packets are ready before BuildKit takes them.
const PACKETS_AHEAD: usize = 16;
/// The name under which BuildKit looks for the Dockerfile.
pub(in super::super) const DOCKERFILE: &str = "Dockerfile";
/// The file that BuildKit asks for by itself, before it asks for the context.
const IGNORE_FILE: &str = ".dockerignore";

/// What became of the context, if it is not whole.
pub(in super::super) type Broken = Arc<Mutex<Option<Error>>>;

/// A context whose Dockerfile is not in it.
pub(in super::super) struct Files {
    pub(in super::super) context: Arc<dyn ContextFiles>,
    pub(in super::super) dockerfile: Vec<u8>,
    pub(in super::super) broken: Broken,
}

#[async_trait]
impl FileSync for Files {
    type DiffCopyStream = BoxStream<'static, Result<Packet, Status>>;
    type TarStreamStream = BoxStream<'static, Result<Packet, Status>>;

    async fn diff_copy(&self, request: Request<Streaming<Packet>>) -> Result<Response<Self::DiffCopyStream>, Status> {
        let named =
            |key: &str| request.metadata().get_all(key).iter().filter_map(|it| it.to_str().ok()).collect::<Vec<_>>();
        let only_ignore = named("followpaths") == [IGNORE_FILE];
        let files: Arc<dyn ContextFiles> = match named("dir-name").as_slice() {
            ["dockerfile"] => Arc::new(Dockerfile(self.dockerfile.clone())),
            ["context"] => Arc::clone(&self.context),
            other => return Err(Status::not_found(format!("there is no folder {other:?}"))),
        };
        let (packets, mut ready) = mpsc::channel(PACKETS_AHEAD);
        let (ask, asked) = std::sync::mpsc::channel();
        let mut said = request.into_inner();
        tokio::spawn(async move {
            // Whatever else ends the stream ends the transfer.
            while let Ok(Some(packet)) = said.message().await {
                let passed_on = match packet.r#type() {
                    PacketType::PacketReq => ask.send(Some(packet.id)),
                    PacketType::PacketFin => ask.send(None),
                    _ => break,
                };
                if passed_on.is_err() {
                    break;
                }
            }
        });
        let broken = Arc::clone(&self.broken);
        tokio::task::spawn_blocking(move || {
            let sending = Sending { files, only_ignore, packets };
            if let Err(error) = sending.send_all(&asked) {
                let status = Status::failed_precondition(error.message().to_owned());
                *broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                // Fails if nobody listens any more: then the build has ended.
                let _ = sending.packets.blocking_send(Err(status));
            }
        });
        Ok(Response::new(stream::poll_fn(move |context| ready.poll_recv(context)).boxed()))
    }

    async fn tar_stream(&self, _: Request<Streaming<Packet>>) -> Result<Response<Self::TarStreamStream>, Status> {
        Err(Status::unimplemented("files are sent one by one"))
    }
}

struct Sending {
    files: Arc<dyn ContextFiles>,
    /// Whether nothing but `.dockerignore` is asked for.
    only_ignore: bool,
    packets: mpsc::Sender<Result<Packet, Status>>,
}

impl Sending {
    /// Sends the list, and then what is asked for, until the other side has all. It stops early if nobody listens.
    fn send_all(&self, asked: &std::sync::mpsc::Receiver<Option<u32>>) -> Outcome<()> {
        // The other side counts what it is sent.
        let mut listed = Vec::new();
        for (index, file) in self.files.list().into_iter().enumerate() {
            if self.only_ignore && file.path.as_os_str() != IGNORE_FILE {
                continue;
            }
            listed.push(index);
            if !self.packet(PacketType::PacketStat, Packet { stat: Some(stat(&file)), ..Packet::default() }) {
                return Ok(());
            }
        }
        self.packet(PacketType::PacketStat, Packet::default());
        while let Ok(Some(id)) = asked.recv() {
            if let Some(index) = usize::try_from(id).ok().and_then(|id| listed.get(id)) {
                self.files.read(*index, &mut |data| {
                    self.packet(PacketType::PacketData, Packet { id, data, ..Packet::default() })
                })?;
            }
            // Without data: the file is whole.
            if !self.packet(PacketType::PacketData, Packet { id, ..Packet::default() }) {
                return Ok(());
            }
        }
        self.packet(PacketType::PacketFin, Packet::default());
        Ok(())
    }

    /// Whether somebody listens.
    fn packet(&self, kind: PacketType, packet: Packet) -> bool {
        self.packets.blocking_send(Ok(Packet { r#type: kind.into(), ..packet })).is_ok()
    }
}

/// A file as Go's `os.FileInfo` has it, with the kind in the high bits of the mode. All belongs to root.
fn stat(file: &ContextFile) -> Stat {
    const FOLDER: u32 = 1 << 31;
    const LINK: u32 = 1 << 27;
    const FIFO: u32 = 1 << 25;
    const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];
    let (kind, size, linkname) = match &file.kind {
        ContextFileKind::Folder => (FOLDER, 0, String::new()),
        ContextFileKind::Fifo => (FIFO, 0, String::new()),
        ContextFileKind::Link(target) => (LINK, 0, target.to_string_lossy().into_owned()),
        ContextFileKind::File { size } => (0, *size, String::new()),
    };
    let special = SPECIAL.iter().filter(|(bit, _)| file.mode & bit != 0).fold(0, |all, (_, bit)| all | bit);
    Stat {
        path: file.path.to_string_lossy().into_owned(),
        mode: kind | special | (file.mode & 0o777),
        size: i64::try_from(size).unwrap_or(i64::MAX),
        mod_time: i64::try_from(file.mtime).unwrap_or(i64::MAX).saturating_mul(1_000_000_000),
        linkname,
        ..Stat::default()
    }
}

/// The folder that has nothing but the Dockerfile.
#[derive(Debug)]
struct Dockerfile(Vec<u8>);

impl ContextFiles for Dockerfile {
    fn list(&self) -> Vec<ContextFile> {
        let kind = ContextFileKind::File { size: self.0.len() as u64 };
        vec![ContextFile { path: DOCKERFILE.into(), mode: 0o644, mtime: 0, kind }]
    }

    fn read(&self, _: usize, to: &mut dyn FnMut(Vec<u8>) -> bool) -> Outcome<()> {
        to(self.0.clone());
        Ok(())
    }
}

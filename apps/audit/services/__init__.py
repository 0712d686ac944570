"""What is done with the log: record, seal, verify, deliver; and the duties."""

from apps.audit.services.delivering import Delivery as Delivery
from apps.audit.services.delivering import deliver as deliver
from apps.audit.services.delivering import deliver_again as deliver_again
from apps.audit.services.delivering import deliver_all as deliver_all
from apps.audit.services.performing import sweep as sweep
from apps.audit.services.recording import Fact as Fact
from apps.audit.services.recording import Notice as Notice
from apps.audit.services.recording import record as record
from apps.audit.services.recording import record_many as record_many
from apps.audit.services.sealing import SEAL_LOCK as SEAL_LOCK
from apps.audit.services.sealing import UNSEALABLE as UNSEALABLE
from apps.audit.services.sealing import seal as seal
from apps.audit.services.sealing import verify as verify

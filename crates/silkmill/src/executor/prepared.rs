//! What can be asked of one task, and a task on its way into the queue with all of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cancel::CancelToken;
use crate::pool::limit::Limit;
use crate::pool::priority::{Priority, Slot};
use crate::pool::queue::{Refused, WaitPolicy};
use crate::pool::timer::TimerEntry;
use crate::pool::{Pool, worker};
use crate::task::TaskHandle;
use crate::task::job::WithContext;
use crate::task::scope_latch::Latch;

/// What can be asked of one task.
#[derive(Clone, Default)]
pub(crate) struct TaskSpec {
    pub(crate) priority: Priority,
    pub(crate) token: Option<CancelToken>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) run_timeout: Option<Duration>,
    /// Whether it tells of its items itself, and is none.
    pub(crate) is_batch: bool,
}

impl TaskSpec {
    /// Returns whether a task of `pool` with this has nothing around it, as is the rule.
    fn is_plain_in(&self, pool: &Pool) -> bool {
        let TaskSpec { priority: _, token, name, run_timeout, is_batch: _ } = self;
        let asks_nothing = token.is_none() && name.is_none() && run_timeout.is_none();
        let pool_adds_nothing = !pool.has_context() && !pool.has_task_hooks();
        asks_nothing && pool_adds_nothing && !CancelToken::is_inherited()
    }
}

/// A task that is not queued yet, with what is around it.
pub(crate) struct PreparedTask<F> {
    priority: Priority,
    job: WithContext<F, TimerEntry>,
    /// Ends the task before its turn.
    limits: Option<(Arc<Limit>, CancelToken)>,
}

impl<F> PreparedTask<F> {
    pub(crate) fn new(pool: &Arc<Pool>, spec: TaskSpec, f: F) -> Self {
        let TaskSpec { priority, token, name, run_timeout, is_batch } = spec;
        let token = token.or_else(|| Limit::inherited_token(pool));
        let context = pool.capture_context();
        let submitted = (pool.has_task_hooks() && !is_batch).then(Instant::now);
        let limits = token.clone().map(|token| (Limit::new(pool, &token), token));
        let limit = limits.as_ref().and_then(|(limit, token)| limit.until_deadline(token));
        let job = WithContext { f, token, name, run_timeout, context, submitted, limit };
        PreparedTask { priority, job, limits }
    }

    /// Returns the token that ends the task.
    pub(crate) fn token(&self) -> Option<&CancelToken> {
        self.limits.as_ref().map(|(_, token)| token)
    }

    /// Queues the task.
    ///
    /// # Errors
    /// Gives it back with the reason.
    pub(crate) fn push<T>(
        self,
        pool: &Arc<Pool>,
        wait_policy: WaitPolicy<'_>,
    ) -> Result<TaskHandle<T>, (Self, Refused)>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.push_by(|job, priority, slot| {
            pool.push(job, priority, wait_policy, worker::submitter(pool), slot)
        })
    }

    /// Queues it by `push`.
    fn push_by<H>(
        self,
        push: impl FnOnce(
            WithContext<F, TimerEntry>,
            Priority,
            Option<SlotAndToken<'_>>,
        ) -> Result<H, (WithContext<F, TimerEntry>, Refused)>,
    ) -> Result<H, (Self, Refused)> {
        let PreparedTask { priority, job, limits } = self;
        let slot = limits.as_ref().map(|(limit, token)| (limit.slot(), token));
        match push(job, priority, slot) {
            Ok(handle) => {
                if let Some((limit, token)) = limits {
                    limit.enforce(&token);
                }
                Ok(handle)
            }
            Err((job, refused)) => Err((PreparedTask { priority, job, limits }, refused)),
        }
    }
}

/// Where a task with a limit is queued, and the token that its submitter waits no longer for.
type SlotAndToken<'a> = (&'a Arc<Slot>, &'a CancelToken);

/// Queues a task with what is asked of it.
///
/// # Errors
/// Gives `f` back with the reason.
pub(crate) fn push<F, T>(
    pool: &Arc<Pool>,
    spec: TaskSpec,
    wait_policy: WaitPolicy<'_>,
    f: F,
) -> Result<TaskHandle<T>, (F, Refused)>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if spec.is_plain_in(pool) {
        return pool.push(f, spec.priority, wait_policy, worker::submitter(pool), None);
    }
    let pushed = PreparedTask::new(pool, spec, f).push(pool, wait_policy);
    pushed.map_err(|(task, refused)| (task.job.f, refused))
}

/// Queues a task that may borrow for as long as `latch` allows, with what is asked of it.
///
/// # Errors
/// Gives `f` back with the reason.
pub(crate) fn push_scoped<'scope, F, T>(
    pool: &Arc<Pool>,
    latch: &Latch<'scope, '_>,
    spec: TaskSpec,
    wait_policy: WaitPolicy<'_>,
    f: F,
) -> Result<TaskHandle<T>, (F, Refused)>
where
    F: FnOnce() -> T + Send + 'scope,
    T: Send + 'scope,
{
    let submitter = worker::submitter(pool);
    if spec.is_plain_in(pool) {
        return pool.push_scoped(f, latch, spec.priority, wait_policy, submitter, None);
    }
    let task = PreparedTask::new(pool, spec, f);
    let pushed = task.push_by(|job, priority, slot| {
        pool.push_scoped(job, latch, priority, wait_policy, submitter, slot)
    });
    pushed.map_err(|(task, refused)| (task.job.f, refused))
}

//! What git has checked out: commit, branch, and whether files differ from the commit. Read without the `git` command,
//! and without writing to the repository.
//!
//! ```no_run
//! use haddock_core::vcs;
//!
//! let variables = |name: &str| std::env::var(name).ok();
//! match vcs::revision_in(".".as_ref(), &variables)? {
//!     Some(revision) => println!("{}", revision.tag()?), // such as `main-3f2a1bc`
//!     None => println!("not in a repository"),
//! }
//! # Ok::<(), haddock_core::Error>(())
//! ```
//!
//! # The branch
//!
//! The branch is the one that is checked out. A CI system often checks out a commit and no branch. Then the branch is
//! what the CI system says in its environment variables. These count only together with the variable by which the system
//! is known, such as `GITLAB_CI`. In a build of a git tag, the tag's name stands for the branch. `HADDOCK_BRANCH` wins
//! over all.
//!
//! | system | variables, the first that is set |
//! |---|---|
//! | Jenkins (`JENKINS_URL`, `JENKINS_HOME`) | `CHANGE_BRANCH`, `BRANCH_NAME`, `GIT_BRANCH` |
//! | GitLab (`GITLAB_CI`) | `CI_MERGE_REQUEST_SOURCE_BRANCH_NAME`, `CI_COMMIT_BRANCH`, `CI_COMMIT_TAG`, `CI_COMMIT_REF_NAME` |
//! | GitHub, Gitea, Forgejo (`GITHUB_ACTIONS`) | `GITHUB_HEAD_REF`, `GITHUB_REF_NAME` |
//! | Bamboo (`bamboo_buildNumber`) | `bamboo_repository_pr_sourceBranch`, `bamboo_planRepository_branchName` |
//! | Bitbucket (`BITBUCKET_BUILD_NUMBER`) | `BITBUCKET_BRANCH`, `BITBUCKET_TAG` |
//! | Azure (`TF_BUILD`) | `SYSTEM_PULLREQUEST_SOURCEBRANCH`, `BUILD_SOURCEBRANCH` |
//! | CircleCI (`CIRCLECI`) | `CIRCLE_BRANCH`, `CIRCLE_TAG` |
//! | Travis (`TRAVIS`) | `TRAVIS_PULL_REQUEST_BRANCH`, `TRAVIS_BRANCH` |
//! | Woodpecker (`CI=woodpecker`) | `CI_COMMIT_SOURCE_BRANCH`, `CI_COMMIT_TAG`, `CI_COMMIT_BRANCH` |
//! | Drone (`DRONE`) | `DRONE_SOURCE_BRANCH`, `DRONE_TAG`, `DRONE_BRANCH` |
//! | Buildkite (`BUILDKITE`) | `BUILDKITE_BRANCH` |
//! | Semaphore (`SEMAPHORE`) | `SEMAPHORE_GIT_PR_BRANCH`, `SEMAPHORE_GIT_BRANCH` |
//!
//! # Whose repository
//!
//! Git refuses to read the repository of another user. Here it is read, as it often is another's in a container of a CI
//! system. But programs that its configuration names are not run.

mod checkout;
mod ci;
mod dirty;
mod files;
mod remote;

pub use checkout::{branch_in, revision, revision_in};
pub use files::files_at;

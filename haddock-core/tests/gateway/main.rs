//! The gateway, with real sockets.

mod admin_tls;
mod adopted;
mod api;
mod application;
mod asked;
mod bodies;
mod by_client;
mod disk;
mod door;
mod events;
mod failures;
mod framing;
mod group;
mod http2_frames;
mod hygiene;
mod instances;
mod killed;
mod outlives;
mod recorded;
mod remaining;
mod replaced;
mod traffic;
mod world;

mod gateway_keeps_the_contract {
    use crate::world::World;

    haddock_core::locator_suite!(World::new(false).await);
}

mod gateway_keeps_the_contract_by_a_prefix {
    use crate::world::World;
    use haddock_core::routing::CookieMode;

    haddock_core::locator_suite!(World::with_cookie("APPSESSION", CookieMode::Prefix).await);
}

mod gateway_keeps_the_contract_by_what_it_learns {
    use crate::world::World;
    use haddock_core::routing::CookieMode;

    haddock_core::locator_suite!(World::with_cookie("APPSESSION", CookieMode::Learn).await);
}

mod remote_keeps_the_contract {
    use crate::world::World;

    haddock_core::locator_suite!(World::new(true).await);
}

mod asking_keeps_the_contract {
    use crate::asked::Asking;
    use crate::world::World;

    haddock_core::locator_suite!(Asking(World::new(false).await));
}

mod asking_keeps_the_contract_by_a_prefix {
    use crate::asked::Asking;
    use crate::world::World;
    use haddock_core::routing::CookieMode;

    haddock_core::locator_suite!(Asking(World::with_cookie("APPSESSION", CookieMode::Prefix).await));
}

mod asking_keeps_the_contract_by_what_it_learns {
    use crate::asked::Asking;
    use crate::world::World;
    use haddock_core::routing::CookieMode;

    haddock_core::locator_suite!(Asking(World::with_cookie("APPSESSION", CookieMode::Learn).await));
}

mod two_gateways_keep_the_contract {
    use crate::group::Group;

    haddock_core::locator_suite!(Group::new(None).await);
}

mod two_gateways_keep_the_contract_by_a_prefix {
    use crate::group::Group;
    use haddock_core::routing::CookieMode;

    haddock_core::locator_suite!(Group::new(Some(("APPSESSION", CookieMode::Prefix))).await);
}

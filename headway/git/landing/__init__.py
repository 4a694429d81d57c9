"""Landing: a workspace's change becomes one commit on the trunk."""

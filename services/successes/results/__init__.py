"""What happens to the results of deploys: recorded, retried, parked, cleaned up."""

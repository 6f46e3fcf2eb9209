"""What proves a case afterwards: sealed dossiers, daily anchors, verification, reconciliation."""

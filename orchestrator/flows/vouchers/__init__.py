"""From a voucher to its holder's key: the rules of its programme, redeeming, booking, drawing, claiming."""

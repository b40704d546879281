//! For tonic's server.

use tonic::transport::server::Connected;

use super::connection::ConnectedPartner;
use super::stream::PartnerStream;

impl Connected for PartnerStream {
    type ConnectInfo = ConnectedPartner;

    fn connect_info(&self) -> ConnectedPartner {
        self.partner().clone()
    }
}
